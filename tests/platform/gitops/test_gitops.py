"""What the repository says is what runs, whoever changes the one or the other."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from services.local import topology
from tests.platform.charts import HELM, LOCAL, PRODUCTION, ROOT, Charts, Layer
from tests.platform.gitops import applications
from tests.platform.gitops.applications import Application
from tests.platform.gitops.reconciler import CannotRender, Cluster, Reconciler, Sync

BUMP = Path("deploy") / "gitops" / "bump-image.sh"
ENVIRONMENTS = ("production", "k3d")
LAPTOP = "in-cluster"
"""What an Argo CD calls the cluster that it runs in."""
SERVICES = {*(service.name for service in topology.SERVICES), "gateway"}
DEPLOYMENT = ("Deployment", "order")
OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"

pytestmark = pytest.mark.skipif(not HELM.exists(), reason="helm is not there: make tools")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Application]:
    """Every Application that the ApplicationSets make."""
    return [
        each
        for application_set in objects("ApplicationSet")
        for each in applications.of_set(application_set, tmp_path_factory.mktemp("set") / "chart")
    ]


def objects(kind: str, environments: Iterable[str] = ENVIRONMENTS) -> list[applications.Object]:
    """Returns the objects of a kind that the environments' roots apply."""
    return [
        each
        for environment in environments
        for each in applications.manifests(ROOT, environment)
        if each["kind"] == kind
    ]


# --- What Argo CD is told


def test_each_service_is_in_each_environment(made: list[Application]):
    """The payment provider's stand-in is on laptops alone."""
    expected = {f"{environment}-{name}" for environment in ENVIRONMENTS for name in SERVICES}
    assert {each.name for each in made} == expected | {"k3d-sandbox"}


@pytest.mark.parametrize(
    ("environment", "cluster"), [("production", "production"), ("k3d", LAPTOP)]
)
def test_an_argo_cd_runs_one_environment(environment: str, cluster: str, tmp_path: Path):
    """What a root leads to is of its environment and cluster: production's deploys no k3d."""
    (application_set,) = objects("ApplicationSet", [environment])
    reached = [
        *applications.of_set(application_set, tmp_path / "chart"),
        *(Application(manifest=each) for each in objects("Application", [environment])),
    ]

    assert {each.name.partition("-")[0] for each in reached} == {environment}
    assert {each.manifest["spec"]["destination"]["name"] for each in reached} == {cluster}
    projects = {each["metadata"]["name"] for each in objects("AppProject", [environment])}
    assert projects == {each.project for each in reached}


def test_environments_differ_by_their_values(made: list[Application]):
    """Production is the chart's own values; a laptop's are on top; both say which image."""
    files = {each.name: each.value_files for each in made}

    images = "../../deploy/gitops/images"
    assert files["production-order"] == ["values.yaml", f"{images}/production/order.yaml"]
    assert files["k3d-order"] == ["values.yaml", "values-local.yaml", f"{images}/k3d/order.yaml"]
    missing = [
        f"{each.name}: {file}"
        for each in made
        for file in each.value_files
        if not (ROOT / each.path / file).exists()
    ]
    assert missing == []


def test_what_drifts_is_healed_and_what_is_gone_goes(made: list[Application]):
    """No Application waits for somebody to press a button, and none gives up at the first error."""
    for each in [*made, *(Application(manifest=found) for found in objects("Application"))]:
        policy = each.manifest["spec"]["syncPolicy"]
        assert policy["automated"] == {"prune": True, "selfHeal": True, "allowEmpty": False}
        assert policy["retry"]["limit"] == 5


def test_healing_can_be_turned_off_in_need():
    """The controller leaves alone what the runbook has people change by `argocd app set`."""
    for each in objects("ApplicationSet"):
        (ignored,) = each["spec"]["ignoreApplicationDifferences"]
        assert ignored == {"jsonPointers": ["/spec/syncPolicy/automated"]}


def test_an_environment_cannot_touch_another(made: list[Application]):
    """An Application is of its environment's project, which knows one cluster and one namespace."""
    projects = {each["metadata"]["name"]: each["spec"] for each in objects("AppProject")}
    for each in [*made, *(Application(manifest=found) for found in objects("Application"))]:
        spec, project = each.manifest["spec"], projects[each.project]
        assert project["destinations"] == [spec["destination"]], each.name
        assert project["sourceRepos"] == [spec["source"]["repoURL"]], each.name


def test_projects_come_before_what_is_in_them():
    """By wave: projects, services, and the routes to them last."""
    waves = {
        each["kind"]: int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for environment in ENVIRONMENTS
        for each in applications.manifests(ROOT, environment)
    }
    assert waves == {"AppProject": -2, "ApplicationSet": -1, "Application": 0}


@pytest.mark.parametrize(("environment", "layer"), [("production", PRODUCTION), ("k3d", LOCAL)])
def test_a_project_allows_what_the_charts_make_and_no_more(
    charts: Charts, made: list[Application], environment: str, layer: str
):
    """Argo CD may write the kinds that a service has; a Role or a Secret is none of them."""
    files = ("values-local.yaml",) if layer == LOCAL else ()
    names = [each.release for each in made if each.project == f"souk-{environment}"]
    found = {
        kind_of(each)
        for name in names
        for each in charts.objects(Layer(name, layer, files))
        # `helm test` is no part of a sync.
        if each["kind"] != "Pod"
    }
    (project,) = [
        each["spec"]
        for each in objects("AppProject")
        if each["metadata"]["name"] == f"souk-{environment}"
    ]

    assert allowed_kinds(project["namespaceResourceWhitelist"]) == found
    assert project["clusterResourceWhitelist"] == []


def test_kongs_project_allows_what_is_there_and_no_more():
    """A kind that no file has is a right that nobody needs."""
    (project,) = [each for each in objects("AppProject") if each["metadata"]["name"] == "souk-edge"]
    kinds = ("clusterResourceWhitelist", "namespaceResourceWhitelist")
    found = {
        kind_of(each)
        for path in (ROOT / "kong" / "kubernetes").rglob("*.yaml")
        if path.name != "ingress.yaml"
        for each in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
    }

    assert {kind for key in kinds for kind in allowed_kinds(project["spec"][key])} == found


def kind_of(manifest: applications.Object) -> tuple[str, str]:
    """Returns group and kind."""
    return manifest["apiVersion"].rpartition("/")[0], manifest["kind"]


def allowed_kinds(whitelist: list[dict[str, str]]) -> set[tuple[str, str]]:
    """Returns group and kind of each entry."""
    return {(each["group"], each["kind"]) for each in whitelist}


def test_bump_refuses_what_is_no_image(tmp_path: Path):
    """A misspelt service or digest is told, and nothing is written."""
    shutil.copytree(ROOT / "deploy" / "gitops", tmp_path / "gitops")
    for arguments in (
        ("production", "ordre", "1.0.0", NEW),
        ("production", "sandbox", "1.0.0", NEW),
        ("production", "order", "1.0.0", "sha256:abc"),
        ("production", "order", "1 0", NEW),
        ("production", "order"),
    ):
        script = tmp_path / "gitops" / "bump-image.sh"
        command = [script, *arguments]
        refused = subprocess.run(command, check=False, capture_output=True, timeout=120)  # noqa: S603 - ours
        assert refused.returncode, arguments
    order = (tmp_path / "gitops" / "images" / "production" / "order.yaml").read_text()
    assert order == (ROOT / "deploy/gitops/images/production/order.yaml").read_text()


# --- A deployment, from beginning to end


class Repository:
    """A repository on this disk with the order service's chart, as people and CI change it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        for part in ("charts/order", "charts/service-lib", "deploy/gitops"):
            ignored = shutil.ignore_patterns("charts", "Chart.lock")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        self._git("init", "--quiet", "--initial-branch", "main")
        self.bump("0.1.0", OLD)

    def bump(self, tag: str, digest: str) -> None:
        """Does what the pipeline does when an image is signed."""
        command = (str(self.path / BUMP), "production", "order", tag, digest)
        subprocess.run(command, check=True, timeout=120)  # noqa: S603 - ours
        self.commit(f"Run v{tag} in production")

    def commit(self, message: str) -> None:
        """Commits everything."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)

    def revert(self) -> None:
        """Takes the last commit back, as the runbook says."""
        self._git("revert", "--no-edit", "HEAD")

    def _git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@souk.example")
        command = ["git", *identity, *arguments]
        subprocess.run(command, cwd=self.path, check=True, capture_output=True, timeout=120)  # noqa: S603 - git, in a folder of the test


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository that says version 0.1.0."""
    return Repository(tmp_path / "repository")


@pytest.fixture
def cluster() -> Cluster:
    """An empty cluster."""
    return Cluster()


@pytest.fixture
def order(made: list[Application]) -> Application:
    """The order service in production."""
    return next(each for each in made if each.name == "production-order")


def test_a_bump_is_deployed_drift_is_healed_and_a_revert_goes_back(
    repository: Repository, cluster: Cluster, order: Application, tmp_path: Path
):
    """The whole life of a version, without a command to the cluster."""
    reconciler = Reconciler(repository.path, tmp_path / "clone", cluster)
    first = reconciler.sync(order)
    assert image(cluster).endswith(f"/order@{OLD}")
    assert DEPLOYMENT in first.applied
    at_first = dict(cluster.objects)

    # What is as it should be is left alone.
    assert reconciler.sync(order) == Sync(revision=first.revision, applied=(), pruned=())

    # A new version: the schema is brought up to date before its pods come.
    repository.bump("0.2.0", NEW)
    cluster.ran.clear()
    second = reconciler.sync(order)
    assert second.revision != first.revision
    assert image(cluster).endswith(f"/order@{NEW}")
    assert ("Job", "order-migration") in cluster.ran

    # Somebody changes what runs, by hand: an object, and one that is gone.
    at_second = dict(cluster.objects)
    changed = dict(cluster.objects[DEPLOYMENT], spec={"replicas": 0})
    cluster.objects[DEPLOYMENT] = changed
    policy = next(key for key in cluster.objects if key[0] == "NetworkPolicy")
    del cluster.objects[policy]
    healed = reconciler.sync(order)
    assert set(healed.applied) == {DEPLOYMENT, policy}
    assert cluster.objects == at_second

    # What the repository does not say any more goes; what is nobody's stays.
    stray = ("ConfigMap", "left-over")
    cluster.objects[stray] = {"kind": "ConfigMap"}
    cluster.owners[stray] = order.name
    other = ("ConfigMap", "of-somebody-else")
    cluster.objects[other] = {"kind": "ConfigMap"}
    assert reconciler.sync(order).pruned == (stray,)
    assert cluster.objects.pop(other)

    # The new version is bad: the commit is reverted, and the old one runs as it did.
    repository.revert()
    reconciler.sync(order)
    assert cluster.objects == at_first


def test_a_revision_that_does_not_render_changes_nothing(
    repository: Repository, cluster: Cluster, order: Application, tmp_path: Path
):
    """A mistake in the repository is no outage: what runs, runs on until it is mended."""
    reconciler = Reconciler(repository.path, tmp_path / "clone", cluster)
    reconciler.sync(order)
    before = dict(cluster.objects)
    file = repository.path / "deploy/gitops/images/production/order.yaml"
    file.write_text("image: {}\n")
    repository.commit("Forget which image")

    with pytest.raises(CannotRender, match="image"):
        reconciler.sync(order)
    assert cluster.objects == before

    repository.revert()
    assert reconciler.sync(order).applied == ()


def image(cluster: Cluster) -> str:
    """Returns the image that the order service's pods run."""
    pod = cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]
    return str(pod["containers"][0]["image"])
