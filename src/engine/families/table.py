"""The families: what each speaks, by which signs it is known. Data only.

A family is known by its template first, by its vocabulary where the template says nothing (`recognition`).
"""

from __future__ import annotations

from src.engine.families.formats import Family, Reasoning

_THINK = Reasoning("think", "<think>", "</think>")
REASONING = {
    each.name: each
    for each in (
        _THINK,
        Reasoning("longcat", "<longcat_think>", "</longcat_think>"),
        Reasoning("think-colon", "<|think:start|>", "<|think:end|>"),
        Reasoning("seed", "<seed:think>", "</seed:think>"),
        Reasoning("command", "<|START_THINKING|>", "<|END_THINKING|>"),
        Reasoning("mistral", "[THINK]", "[/THINK]"),
        Reasoning("gemma4", "<|channel>thought", "<channel|>"),
        Reasoning("kimi-vl", "◁think▷", "◁/think▷"),
        Reasoning("kimi-k3", "<|open|>think<|sep|>", "<|close|>think<|sep|>"),
        Reasoning("minimax-m3", "<mm:think>", "</mm:think>"),
        Reasoning("apertus", "<|inner_prefix|>", "<|inner_suffix|>"),
        Reasoning("granite", "Here is my thought process:", "Here is my response:"),
        Reasoning("apriel", "Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
        Reasoning("channels", "", ""),
    )
}

_T = ("think",)
# the first row that fits is a model's family
FAMILIES: tuple[Family, ...] = (
    Family("harmony", "gpt-oss", "harmony", ("channels",), ends=("<|call|>", "<|return|>"), channels="harmony"),
    Family(
        "muse",
        "Muse Spark",
        "muse_spark",
        ("channels",),
        ends=("<|eot|>",),
        channels="muse",
        vision=("muse_spark", "muse_glimmer"),
    ),
    Family("minimax-m3", "MiniMax M3", "minimax_m3", ("minimax-m3", "think"), vision=("minimax_m3_vl",)),
    Family("minimax-m2", "MiniMax M2", "minimax_m2", _T),
    Family("deepseek-v3.2", "DeepSeek V3.2", "deepseek_v32", _T),
    Family("deepseek-v4", "DeepSeek V4", "deepseek_v4", _T),
    Family("step-3", "Step 3", "step3", _T),
    Family("deepseek-v3", "DeepSeek V3, R1", "deepseek_v3", _T),
    Family("deepseek", "DeepSeek V3.1", "deepseek_v31", _T),
    Family("seed-oss", "Seed-OSS", "seed_oss", ("seed",)),
    Family("gemma-4", "Gemma 4", "gemma4", ("gemma4",), vision=("gemma4", "gemma4_unified")),
    Family("function-gemma", "FunctionGemma", "function_gemma"),
    Family("longcat", "LongCat Flash", "longcat", ("longcat",)),
    Family("hunyuan-3", "Hunyuan 3", "hunyuan_v3", _T),
    Family("glm", "GLM 4.5 to 4.7, Laguna", "glm4_moe", _T, vision=("glm4v", "glm4v_moe")),
    Family("lfm2", "LFM2, LFM2.5", "lfm2", _T, vision=("lfm2_vl",)),
    Family(
        "qwen3-coder",
        "Qwen3-Coder, Qwen3.5, Step 3.5, Nemotron 3",
        "qwen3_coder",
        _T,
        vision=("qwen3_5", "qwen3_5_moe"),
    ),
    Family("kimi-k2", "Kimi K2", "kimi_k2", _T, vision=("kimi_k25",)),
    Family(
        "kimi-k3",
        "Kimi K3",
        "kimi_k3",
        ("kimi-k3",),
        hidden=("<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"),
        vision=("kimi_k3",),
    ),
    Family("minicpm", "MiniCPM5", "minicpm5", _T),
    Family(
        "mistral",
        "Mistral Small 3.1 to 4, Devstral, Magistral",
        "mistral",
        ("mistral",),
        vision=("mistral3", "pixtral"),
    ),
    Family("mistral-v3", "Mistral 7B, Nemo, Mixtral", "mistral_v3", ("mistral",)),
    Family(
        "command",
        "Command R7B, Command A",
        "command",
        ("command",),
        hidden=("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"),
        vision=("aya_vision",),
    ),
    Family("apertus", "Apertus", "apertus", ("apertus",)),
    Family("nemotron", "Nemotron Nano 2, Nemotron Super", "nemotron_json", _T),
    Family("olmo-3", "Olmo 3", "olmo3", _T),
    Family("internlm", "InternLM 2.5, 3", "internlm", _T),
    Family("phi-4", "Phi-4-mini", "phi4_mini", _T, vision=("phi4mm",)),
    Family("granite", "Granite 3", "granite", ("think", "granite"), vision=("granite_vision",)),
    Family("functionary", "Functionary 3.2", "functionary"),
    Family("llama-function", "Functionary 3.1, Hermes for Llama", "llama_function"),
    Family(
        "hunyuan",
        "Hunyuan A13B, Jamba, MiniMax M1, Apriel",
        "hunyuan",
        ("think", "apriel"),
        hidden=("<answer>", "</answer>", "[END FINAL RESPONSE]"),
        vision=("hunyuan_vl",),
    ),
    Family(
        "hermes",
        "Qwen2.5, Qwen3, Hermes, EXAONE 4, Falcon H1, Ling, MiMo, Granite 4, ERNIE 4.5",
        "hermes",
        _T,
        hidden=("<response>", "</response>"),
        vision=(
            "qwen2_vl",
            "qwen2_5_vl",
            "qwen3_vl",
            "qwen3_vl_moe",
            "qwen3_omni_moe",
            "ernie4_5_moe_vl",
            "granite4_vision",
        ),
    ),
    Family("llama-4", "Llama 3.2 and 4 in Python's form", "llama4_pythonic", vision=("llama4",)),
    Family("llama-3", "Llama 3.1 to 3.3", "llama3_json", _T, ends=("<|eom_id|>",), vision=("mllama",)),
    Family("glm-4-0414", "GLM-4 9B, GLM-4-0414", "glm4", _T),
    Family("xlam", "xLAM", "xlam"),
    Family("kimi-vl", "Kimi-VL Thinking", reasoning=("kimi-vl",), vision=("kimi_vl",)),
    Family("r1-distill", "models that think, and call nothing", reasoning=("think", "longcat", "think-colon")),
)
