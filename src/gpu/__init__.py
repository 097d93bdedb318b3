"""GPUs of this machine, and models on them. Other programs may use `get_global_manager`.

```python
from src.gpu import get_global_manager

manager = get_global_manager()
with manager.use(load, "my-model") as model:  # `load` is called on the first use
    ...
```
"""

from src.gpu.frameworks import Movable
from src.gpu.residency import ModelBusy, ModelManager, Residence

__all__ = ["ModelBusy", "ModelManager", "Movable", "Residence", "get_global_manager"]

_GLOBAL = ModelManager()


def get_global_manager() -> ModelManager:
    """The model manager of this process; its monitor is off until `start_monitor`."""
    return _GLOBAL
