"""anthropic: `tool_runner` over a scripted model reads and edits a file; a stream, a picture, a PDF, counting."""

import base64
import sys
from pathlib import Path

import anthropic
from anthropic import beta_tool

url, model, folder = sys.argv[1:4]
client = anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="none", max_retries=0)
notes = Path(folder) / "notes.txt"


@beta_tool
def read_file(file_path: str) -> str:
    """What a file says."""
    return Path(file_path).read_text()


@beta_tool
def edit_file(file_path: str, old_string: str, new_string: str) -> str:
    """Replace text in a file."""
    path = Path(file_path)
    path.write_text(path.read_text().replace(old_string, new_string))
    return "edited"


def ask(*parts: dict) -> str:
    turn = {"role": "user", "content": [{"type": "text", "text": "[[attached]] What is it?"}, *parts]}
    return client.messages.create(model=model, max_tokens=100, messages=[turn]).content[0].text


for streamed in (False, True):
    notes.write_text("alpha\n")
    turns = [{"role": "user", "content": f"[[tools]] In {notes} replace alpha by omega."}]
    runner = client.beta.messages.tool_runner(
        model=model, max_tokens=500, tools=[read_file, edit_file], messages=turns, stream=streamed
    )
    last = [each.get_final_message() if streamed else each for each in runner][-1]
    assert last.content[0].text == "The file said alpha.", last
    assert notes.read_text() == "omega\n"
with client.messages.stream(
    model=model, max_tokens=100, messages=[{"role": "user", "content": "[[chat]] Hi"}]
) as stream:
    assert "".join(stream.text_stream).startswith("Hello from the script")
pdf = base64.b64encode((Path(folder) / "bill.pdf").read_bytes()).decode()
source = {"type": "base64", "media_type": "application/pdf", "data": pdf}
assert ask({"type": "document", "source": source}) == "The document says INVOICE 4711."
png = base64.b64encode((Path(folder) / "pier.png").read_bytes()).decode()
source = {"type": "base64", "media_type": "image/png", "data": png}
assert ask({"type": "image", "source": source}).startswith("I see picture")
assert client.messages.count_tokens(model=model, messages=turns).input_tokens > 0
