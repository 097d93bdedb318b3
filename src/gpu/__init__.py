"""What this machine computes on, and which models are there. `get_global_manager` is for other programs as well.

```python
from src.gpu import get_global_manager

manager = get_global_manager()
with manager.use(load, "my-model") as model:  # `load` is called when the model is not there yet
    ...
```
"""

from src.gpu.frameworks import Movable
from src.gpu.residency import ModelBusy, ModelManager, Residence

__all__ = ["ModelBusy", "ModelManager", "Movable", "Residence", "get_global_manager"]

_GLOBAL = ModelManager()


def get_global_manager() -> ModelManager:
    """The one manager of this process; its monitor is off until `start_monitor`."""
    return _GLOBAL
