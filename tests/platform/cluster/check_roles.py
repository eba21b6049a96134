"""AWS lends a role for a token of this cluster's API server, and pods are given such tokens."""

from tests.platform.aws.sts import AUDIENCE
from tests.platform.aws.test_identity import ACCOUNT, ROLE, trust
from tests.platform.charts import CHARTS, PRODUCTION, layer_of
from tests.platform.cluster.api import pods


async def test_the_role_is_lent_for_the_token_of_its_service_account(cluster, namespace):
    """What the API server signs for the product service and STS is taken, and nothing else."""
    await cluster.add_account(namespace, "product")
    asked = [("product", AUDIENCE), ("product", "vault"), ("product", None), ("default", AUDIENCE)]
    tokens = {each: await cluster.token(namespace, *each) for each in asked}
    lent = {
        each for each, token in tokens.items() if ACCOUNT.lends(trust(namespace=namespace), token)
    }
    assert {("product", AUDIENCE)} == lent


async def test_only_pods_of_the_service_with_a_role_are_given_it(cluster, charts, namespace):
    """The token is where the variables say, in the service's pods and in no other's."""
    with_role = []
    for chart in CHARTS:
        objects = charts.objects(layer_of(chart, PRODUCTION))
        for each in objects:
            await cluster.api.apply(each, namespace)
        for pod in pods(objects):
            admitted = await cluster.api.apply(pod, namespace, is_dry_run=True)
            if "AWS_" in str(admitted) or AUDIENCE in str(admitted):
                with_role.append(admitted)
    (pod,) = with_role
    assert "product-0" == pod["metadata"]["name"]
    container = next(each for each in pod["spec"]["containers"] if each["name"] == "product")
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert ROLE == environment["AWS_ROLE_ARN"]
    file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"]
    mount = next(each for each in container["volumeMounts"] if file.startswith(each["mountPath"]))
    volume = next(each for each in pod["spec"]["volumes"] if each["name"] == mount["name"])
    (source,) = volume["projected"]["sources"]
    token = source["serviceAccountToken"]
    assert (AUDIENCE, file) == (token["audience"], f"{mount['mountPath']}/{token['path']}")
