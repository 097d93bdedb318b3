# Stoker for Homebrew. `make formula` fills in what stands between at-signs, from the wheel it has built (docs/install.md).
# Installed by pip from the wheel, so that there is no list of a hundred resources to keep. pip runs after the installation
# proper: Homebrew would rewrite the load commands of MLX's libraries, which have no room for longer paths.
class Stoker < Formula
  desc "Self-healing OpenAI-compatible chat and OCR server for Apple Silicon"
  url "@URL@", using: :nounzip
  version "@VERSION@"
  sha256 "@SHA256@"
  license "MIT"

  depends_on arch: :arm64
  depends_on macos: :sonoma
  depends_on "python@3.12"

  def wheel
    "stoker_server-#{version}-py3-none-any.whl"
  end

  def install
    libexec.install Dir["*.whl"].first => wheel
    (bin/"stoker").write <<~SH
      #!/bin/sh
      exec "#{libexec}/venv/bin/stoker" "$@"
    SH
  end

  def post_install
    (var/"log").mkpath
    system Formula["python@3.12"].opt_bin/"python3.12", "-m", "venv", "--clear", libexec/"venv"
    system libexec/"venv/bin/python", "-m", "pip", "install", "--quiet", libexec/wheel
  end

  def caveats
    <<~TEXT
      Settings (.env), models, logs and state lie in ~/Library/Application Support/stoker.
      A Mac that sleeps serves nobody: see `stoker doctor`.
    TEXT
  end

  service do
    run [opt_bin/"stoker", "--mode", "prod"]
    keep_alive successful_exit: false
    run_type :immediate
    process_type :interactive
    throttle_interval 15
    environment_variables PATH: std_service_path_env, PYTHONUNBUFFERED: "1"
    log_path var/"log/stoker.log"
    error_log_path var/"log/stoker.err"
  end

  test do
    assert_match "stoker #{version}", shell_output("#{bin}/stoker --version")
  end
end
