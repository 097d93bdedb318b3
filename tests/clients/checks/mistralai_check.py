"""mistralai, 1.x and 3.x: client.ocr.process with all its fields, and an annotation under a schema."""

import base64
import json
import sys
from pathlib import Path

try:
    from mistralai import Mistral
except ImportError:  # since 2.0
    from mistralai.client import Mistral

url, document = sys.argv[1].removesuffix("/v1"), Path(sys.argv[4])
client = Mistral(api_key="none", server_url=url)
is_new = not hasattr(sys.modules["mistralai"], "Mistral")
image = {
    "type": "image_url",
    "image_url": "data:image/png;base64," + base64.b64encode(document.read_bytes()).decode(),
}
schema = {
    "type": "object",
    "properties": {"closed": {"type": "boolean"}},
    "required": ["closed"],
    "additionalProperties": False,
}
form = {"type": "json_schema", "json_schema": {"name": "notice", "schema": schema, "strict": True}}


def process(**fields):
    answer = client.ocr.process(model="mistral-ocr-latest", document=image, **fields)
    (page,) = answer.pages
    assert "north pier" in page.markdown, page.markdown
    assert page.dimensions.dpi > 0
    return answer, page


process()
process(include_image_base64=True, image_limit=2, image_min_size=8, pages=[0])
_, page = process(table_format="html", extract_header=True, extract_footer=True)
assert page.tables == []
answer, page = process(document_annotation_format=form, document_annotation_prompt="Is it closed?")
assert isinstance(json.loads(answer.document_annotation)["closed"], bool)
process(bbox_annotation_format=form)
if is_new:
    _, page = process(confidence_scores_granularity="word")
    assert page.blocks
    assert page.confidence_scores.word_confidence_scores[0].confidence > 0.5
    process(confidence_scores_granularity="block", include_blocks=False, pages="0")
left = client.files.upload(file={"file_name": "notice.png", "content": document.read_bytes()}, purpose="ocr")
address = client.files.get_signed_url(file_id=left.id)
for named in ({"type": "file", "file_id": left.id}, {"type": "image_url", "image_url": address.url}):
    (page,) = client.ocr.process(model="mistral-ocr-latest", document=named).pages
    assert "north pier" in page.markdown, page.markdown
assert client.files.delete(file_id=left.id).deleted
