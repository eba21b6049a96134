"""The charts, built once."""

import pytest

from tests.platform.charts import HELM, Charts


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Builds the charts; they are read, never changed."""
    if not HELM.exists():
        pytest.skip("Helm is not built: `make tools`")
    return Charts(tmp_path_factory.mktemp("charts"))
