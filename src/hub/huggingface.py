"""The Hugging Face hub through its own library, which reads `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`."""

from __future__ import annotations

import httpx2
from huggingface_hub import HfApi, get_token, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoSibling

from src.errors import ExitCode
from src.hub.snapshot import PullError, RemoteFile, Snapshot, wanted

_ANSWER_S = 20.0


class HuggingFace:
    """See `Hub`."""

    def snapshot(self, model: str) -> Snapshot:
        try:
            info = HfApi().model_info(model, files_metadata=True, timeout=_ANSWER_S)
        except OfflineModeIsEnabled:
            raise PullError("HF_HUB_OFFLINE is set: nothing is downloaded.") from None
        except (GatedRepoError, RepositoryNotFoundError) as error:
            raise self.status_error(model, 403 if isinstance(error, GatedRepoError) else 404) from None
        except HfHubHTTPError as error:
            raise PullError(f"The hub returned {error.response.status_code}; try again later.") from None
        except httpx2.HTTPError as error:
            raise PullError(unreachable(HfApi().endpoint, error)) from None
        except (ValueError, KeyError, TypeError):  # the library accepts any 200 as the hub's
            raise PullError(f"{HfApi().endpoint} returned an unexpected response; is a proxy in between?") from None
        files = tuple(_file(sibling) for sibling in info.siblings or () if wanted(sibling.rfilename))
        return Snapshot(model, "huggingface", info.sha or "main", files)

    def address(self, snapshot: Snapshot, name: str) -> tuple[str, dict[str, str]]:
        url = hf_hub_url(snapshot.model, name, revision=snapshot.revision)
        token = get_token()
        return url, {} if token is None else {"Authorization": f"Bearer {token}"}

    def status_error(self, model: str, status: int) -> PullError:
        page = f"{HfApi().endpoint}/{model}"
        if status in (401, 403):
            text = f"{model} is gated: accept its terms at {page}, then set HF_TOKEN."
        else:
            text = f"Model {model} not found at {HfApi().endpoint} (or it is private: set HF_TOKEN)."
        return PullError(text, ExitCode.MODEL)


def unreachable(endpoint: str, error: httpx2.HTTPError) -> str:
    """The message for a machine without access to the hub."""
    return (
        f"{endpoint} cannot be reached ({type(error).__name__}: {error}). Offline, copy the model's folder to "
        "MODELS_DIR/OWNER/NAME from a machine that has it; behind a proxy, set HTTPS_PROXY."
    )


def _file(sibling: RepoSibling) -> RemoteFile:
    digest = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id
    return RemoteFile(sibling.rfilename, sibling.size or 0, digest or "")
