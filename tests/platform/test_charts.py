"""The charts give what the cluster needs, in production and on k3d, rendered by the real Helm."""

import re

import pytest
import yaml

from services.local import contract
from services.mesh import run, server
from tests.platform.charts import (
    CHARTS,
    LAYERS,
    LOCAL,
    PRODUCTION,
    ROOT,
    Charts,
    HelmFailed,
    layer_of,
)
from tests.platform.objects import Objects, environment, seconds
from tests.platform.test_alerts import ALERTS

MESH = tuple(chart for chart in CHARTS if chart != "sandbox")
OF_OPERATORS = {"Certificate", "PrometheusRule", "ServiceMonitor"}
"""What only cert-manager and the Prometheus operator understand."""


def rendered(charts: Charts, chart: str, name: str = PRODUCTION, *settings: str) -> Objects:
    """Renders a layer of a chart."""
    return Objects(charts.objects(layer_of(chart, name), *settings))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("chart", CHARTS)
def test_every_pod_meets_pod_security_restricted(charts, chart, layer):
    """No pod, of the service, its migration or its test, asks for more than "restricted" allows."""
    pods = rendered(charts, chart, layer).pods()
    for name, pod in pods.items():
        context = pod["securityContext"]
        assert (True, 65532, {"type": "RuntimeDefault"}) == (
            context["runAsNonRoot"],
            context["runAsUser"],
            context["seccompProfile"],
        ), name
        assert not pod["automountServiceAccountToken"], name
        for container in pod["containers"]:
            assert {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            } == container["securityContext"], name
            assert {"requests", "limits"} == container["resources"].keys(), name
        kinds = {kind for volume in pod.get("volumes", ()) for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "secret", "projected"}, name


@pytest.mark.parametrize("chart", CHARTS)
def test_what_vault_injects_is_restricted_too(charts, chart):
    """Vault's agent runs as our user with a token for Vault alone, and signs in as the service."""
    for each in rendered(charts, chart):
        if each["kind"] not in {"Deployment", "Job"}:
            continue
        template = each["spec"]["template"]
        annotations = template["metadata"]["annotations"]
        prefix = "vault.hashicorp.com"
        volume = annotations[f"{prefix}/agent-service-account-token-volume-name"]
        (token,) = [each for each in template["spec"]["volumes"] if each["name"] == volume]
        assert ("65532", "65532", "true") == (
            annotations[f"{prefix}/agent-run-as-user"],
            annotations[f"{prefix}/agent-run-as-group"],
            annotations[f"{prefix}/agent-set-security-context"],
        )
        assert "vault" == token["projected"]["sources"][0]["serviceAccountToken"]["audience"]
        account = template["spec"]["serviceAccountName"]
        assert f"souk-{account}" == annotations[f"{prefix}/role"]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("chart", CHARTS)
def test_secrets_are_files_where_the_settings_look(charts, chart, layer):
    """Each secret's file is written by Vault's agent, or mounted from a Secret at the same path."""
    objects = rendered(charts, chart, layer)
    named = {
        value
        for name, value in environment(objects.container).items()
        if name.endswith("_FILE") or value.startswith("/vault/")
    }
    template = objects.deployment["template"]
    given = set()
    for name, value in template["metadata"].get("annotations", {}).items():
        if "/agent-inject-file-" in name:
            secret = name.rpartition("-file-")[2]
            text = template["metadata"]["annotations"][
                f"vault.hashicorp.com/agent-inject-template-{secret}"
            ]
            folder = template["metadata"]["annotations"].get(
                f"vault.hashicorp.com/secret-volume-path-{secret}", "/vault/secrets"
            )
            given |= {f"{folder}/{value}", folder}
            given |= {part for part in text.split('"') if part.startswith("/vault/")}
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    for mount in objects.container["volumeMounts"]:
        volume = volumes[mount["name"]].get("secret", {})
        given |= {mount["mountPath"]}
        given |= {f"{mount['mountPath']}/{item['path']}" for item in volume.get("items", ())}
    assert set() == named - given


@pytest.mark.parametrize("chart", MESH)
def test_a_pod_is_given_the_time_that_its_drain_takes(charts, chart):
    """SIGKILL comes after preStop, the wait, the grace, and what the mesh needs to end."""
    objects = rendered(charts, chart)
    variables = environment(objects.container)
    drain = sum(seconds(variables[name]) for name in ("SOUK_DRAIN_WAIT", "SOUK_DRAIN_GRACE"))
    ending = server.SETTLING_SECONDS + run.CANCELLATIONS * run.CANCELLATION_SECONDS
    pre_stop = objects.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = objects.deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    assert pre_stop + drain + ending <= grace


@pytest.mark.parametrize("chart", [chart for chart in MESH if chart != "gateway"])
def test_a_drain_breaks_no_call_that_keeps_to_its_deadline(charts, chart):
    """The grace is as long as the service's longest call of one request and one answer."""
    deadlines = [
        rpc.policy.deadline.ToTimedelta().total_seconds()
        for rpc in contract.rpcs()
        if rpc.service.startswith(f"souk.{chart}.")
        and not (rpc.streams_request or rpc.streams_response)
    ]
    variables = environment(rendered(charts, chart).container)
    assert max(deadlines) <= seconds(variables["SOUK_DRAIN_GRACE"])


@pytest.mark.parametrize("chart", CHARTS)
def test_probes_ask_the_process_in_plaintext(charts, chart):
    """The port of each probe is one that the process listens on without TLS."""
    container = rendered(charts, chart).container
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    variables = environment(container)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if chart in {"gateway", "sandbox"}:
            assert "http" == container[probe]["httpGet"]["port"]
        else:
            assert ports["probe"] == container[probe]["grpc"]["port"]
            assert f"0.0.0.0:{ports['probe']}" == variables["SOUK_PROBE_LISTEN"]
    if chart not in {"gateway", "sandbox"}:
        # A store that is away makes a pod not ready; to start it anew would not help.
        assert "liveness" == container["livenessProbe"]["grpc"]["service"]
        assert "service" not in container["readinessProbe"]["grpc"]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("chart", CHARTS)
def test_either_the_autoscaler_or_the_chart_says_how_many(charts, chart, layer):
    """With an autoscaler the deployment has no replicas, else it would be set back each time."""
    objects = rendered(charts, chart, layer)
    is_scaled = bool(objects.all("HorizontalPodAutoscaler"))
    assert is_scaled != ("replicas" in objects.deployment)
    assert (layer == PRODUCTION and chart != "sandbox") == is_scaled


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("chart", CHARTS)
def test_a_disruption_budget_lets_pods_be_evicted(charts, chart, layer):
    """There is a budget where there are several pods, and none that would block a node's drain."""
    objects = rendered(charts, chart, layer)
    autoscalers = objects.all("HorizontalPodAutoscaler")
    pods = autoscalers[0]["spec"]["minReplicas"] if autoscalers else objects.deployment["replicas"]
    budgets = [each["spec"]["maxUnavailable"] for each in objects.all("PodDisruptionBudget")]
    assert ([1] if pods > 1 else []) == budgets


@pytest.mark.parametrize("chart", [chart for chart in MESH if chart != "gateway"])
def test_services_are_headless_and_named_like_their_certificate(charts, chart):
    """Callers reach `dns:///<name>:50051`, get every pod's address, and expect that very name."""
    service = rendered(charts, chart).one("Service")
    grpc = next(port for port in service["spec"]["ports"] if port["name"] == "grpc")
    assert (chart, "None", 50051) == (
        service["metadata"]["name"],
        service["spec"]["clusterIP"],
        grpc["port"],
    )


@pytest.mark.parametrize("chart", MESH)
def test_vault_and_cert_manager_issue_the_same_identity(charts, chart):
    """Whoever issues the certificate, it names the service as the mesh and the gateway expect."""
    names = [chart, f"{chart}.souk.svc", f"{chart}.souk.svc.cluster.local", "localhost"]
    annotations = rendered(charts, chart).deployment["template"]["metadata"]["annotations"]
    issue = annotations["vault.hashicorp.com/agent-inject-template-tls"]
    assert f'"uri_sans=spiffe://souk/{chart}"' in issue
    assert f'"alt_names={",".join(names)}"' in issue
    certificate = rendered(charts, chart, PRODUCTION, "tls.source=certManager").one("Certificate")[
        "spec"
    ]
    assert ([f"spiffe://souk/{chart}"], names) == (certificate["uris"], certificate["dnsNames"])


def test_the_migration_runs_before_with_its_own_rights(charts):
    """Its ServiceAccount and policy are there before the Job, which is told one secret alone."""
    objects = rendered(charts, "order")
    weights = {
        each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"])
        for each in objects
        if each["metadata"]["name"] == "order-migration"
    }
    job = objects.one("Job")
    assert weights["ServiceAccount"] < weights["Job"]
    assert weights["NetworkPolicy"] < weights["Job"]
    assert "pre-install,pre-upgrade" == job["metadata"]["annotations"]["helm.sh/hook"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"SOUK_DATABASE_URL_FILE": "/vault/secrets/database_url"} == environment(container)
    template = job["spec"]["template"]
    assert "order-migration" == template["spec"]["serviceAccountName"]
    assert (
        "true" == template["metadata"]["annotations"]["vault.hashicorp.com/agent-pre-populate-only"]
    )


def test_a_failed_migration_is_seen_by_its_alert(charts):
    """The alert looks for Jobs by the name that the charts give them."""
    expression = ALERTS["MigrationFailed"]["expr"]
    (names,) = re.findall(r'job_name=~"([^"]+)"', expression)
    job = rendered(charts, "order").one("Job")
    assert re.fullmatch(names, job["metadata"]["name"])


def test_the_gateway_finds_its_contracts_in_the_image(charts):
    """Its argument is where the image has the descriptor set."""
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    (folder,) = re.findall(r"^COPY --from=code /app/souk\.binpb (\S+)/$", dockerfile, re.MULTILINE)
    (container,) = rendered(charts, "gateway").deployment["template"]["spec"]["containers"]
    assert f"--descriptors=/app/{folder}/souk.binpb" in container["args"]


def test_an_iam_role_is_the_service_accounts(charts):
    """`aws.roleArn` is what the IAM roles webhook looks for."""
    objects = rendered(charts, "product")
    annotations = objects.one("ServiceAccount")["metadata"]["annotations"]
    role = "arn:aws:iam::111122223333:role/souk-product"
    assert {"eks.amazonaws.com/role-arn": role} == annotations
    for each in (rendered(charts, "product", LOCAL), rendered(charts, "order")):
        assert "annotations" not in each.one("ServiceAccount", each.deployment_name)["metadata"]


@pytest.mark.parametrize("chart", CHARTS)
def test_k3d_differs_only_where_it_is_meant_to(charts, chart):
    """What runs is the same; how many there are, who gives the secrets and who watches is not."""
    production, local = (rendered(charts, chart, layer) for layer in LAYERS)
    kinds = [{each["kind"] for each in objects} for objects in (production, local)]
    many = {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert kinds[0] - many - OF_OPERATORS == kinds[1]
    both = production.container.keys() | local.container.keys()
    differing = {key for key in both if production.container.get(key) != local.container.get(key)}
    assert differing <= {"args", "env", "image", "volumeMounts"}
    here, there = (environment(objects.container) for objects in (local, production))
    assert {name for name in here.keys() & there.keys() if here[name] != there[name]} <= {
        *("SOUK_CORS_ORIGINS", "SOUK_PROVIDER_URL", "SOUK_TOKEN_ISSUER", "SOUK_TRUSTED_PROXIES"),
        *("SOUK_TLS_CA", "SOUK_TLS_CERT", "SOUK_TLS_KEY"),
    }
    only_production = {
        "SOUK_SMTP_HOST",
        "SOUK_IMAGE_BUCKET",
        "SOUK_IMAGE_REGION",
        "SOUK_IMAGE_BASE_URI",
    }
    assert there.keys() - only_production == here.keys() - only_production


def test_what_is_not_there_is_not_used(charts):
    """In a cluster without operators, Vault and policies only Kubernetes' own kinds are made."""
    bare = rendered(charts, "user", "bare")
    assert {
        *("Deployment", "HorizontalPodAutoscaler", "Job", "Pod", "PodDisruptionBudget"),
        *("Service", "ServiceAccount"),
    } == {each["kind"] for each in bare}
    secrets = [
        volume["secret"]["secretName"]
        for volume in bare.deployment["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert ["accounts", "user-signing-keys", "user-tls"] == secrets
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in environment(bare.container)


def test_every_rule_file_is_a_prometheus_rule(charts):
    """What promtool tests as it stands reaches Prometheus as it stands."""
    for chart in CHARTS:
        files = sorted((ROOT / "charts" / chart / "rules").glob("*.yaml"))
        rules = rendered(charts, chart).all("PrometheusRule")
        expected = {
            f"{chart}-{path.stem}": yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in files
        }
        assert expected == {each["metadata"]["name"]: each["spec"] for each in rules}


def test_a_digest_counts_more_than_a_tag(charts):
    """What was signed is what runs."""
    digest = "sha256:" + "0" * 64
    objects = rendered(charts, "order", PRODUCTION, f"image.digest={digest}")
    assert objects.container["image"].endswith(f"/souk/order@{digest}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("image.tag=",), "image.tag or image.digest is required"),
        (("vault.enabled=false",), "set tls.source to certManager or secret"),
        (("vault.secrets.database_url.path=",), "vault.secrets.database_url.path is required"),
        (("stores.postgres.peers=null",), "stores.postgres.peers is required"),
        (("storesCA.configMap=",), "storesCA.configMap is required"),
        (
            ("tls.source=certManager", "tls.certManager.issuerRef.name="),
            "tls.certManager.issuerRef.name is required",
        ),
        (("settings.pay_witin=5m",), "'pay_witin' not allowed"),
        (("settings.pay_within=soon",), "does not match pattern"),
        (("meshSettings.listen=[::]:1",), "'listen' not allowed"),
        (("image.tag=latest",), "'not' failed"),
        (("replica=3",), "'replica' not allowed"),
    ],
)
def test_values_that_cannot_work_are_refused(charts, settings, message):
    """Helm says which value is missing or wrong before anything reaches the cluster."""
    with pytest.raises(HelmFailed) as refused:
        rendered(charts, "order", PRODUCTION, *settings)
    assert message in str(refused.value)
