"""dspy over a scripted model: an answer, and one that a program asks for with its fields, also as a JSON schema."""

import sys

import dspy

url, model, _ = sys.argv[1:4]
HELLO = "Hello from the script, in several pieces of text."
lm = dspy.LM(f"openai/{model}", api_base=url, api_key="none", num_retries=0, cache=False)
(said,) = lm("[[chat]] hi")
assert (said if isinstance(said, str) else said["text"]) == HELLO, said
answered = ""
with dspy.context(lm=lm):  # two adapters are tried: the script speaks no fields
    try:
        dspy.Predict("question -> answer")(question="[[chat]] hi")
    except dspy.utils.exceptions.AdapterParseError as error:
        answered = str(error)
assert HELLO in answered, answered
