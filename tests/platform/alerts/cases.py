"""What makes each alert fire, as series by the minute: what is well, and what is not.

`flaps` says whether the alert also fires when the fault comes and goes every minute: where a fault
is by nature there one moment and gone the next, it must; elsewhere a moment's fault wakes nobody.
"""

from dataclasses import dataclass, field

_DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One alert. `series` has, for each series, its value while all is well and while it is not.

    `rising` are counters: the values are what they grow by in a minute.
    """

    alert: str
    rules: str
    series: dict[str, tuple[float, float]]
    labels: dict[str, str]
    rising: dict[str, tuple[float, float]] = field(default_factory=dict)
    flaps: bool = False


CASES = (
    Case(
        alert="OrdersStuck",
        rules="order/rules/orders.yaml",
        series={'souk_sagas_stuck{pod="a"}': (0, 2), 'souk_sagas_stuck{pod="b"}': (0, 2)},
        labels={"severity": "page", "service": "order"},
    ),
    Case(
        alert="SagaTooOld",
        rules="order/rules/orders.yaml",
        series={'souk_saga_oldest_seconds{state="CANCELLING"}': (5, 1200)},
        labels={"severity": "page", "service": "order", "state": "CANCELLING"},
    ),
    Case(
        alert="RefundRefused",
        rules="order/rules/orders.yaml",
        series={},
        rising={"souk_orders_refund_refused_total": (0, 1)},
        labels={"severity": "ticket", "service": "order"},
        flaps=True,
    ),
    Case(
        alert="OutboxLag",
        rules="order/rules/orders.yaml",
        series={'souk_outbox_lag_seconds{stream="souk:events:order"}': (0, 90)},
        labels={"severity": "page", "service": "order", "stream": "souk:events:order"},
    ),
    Case(
        alert="EventsLostByRedis",
        rules="order/rules/orders.yaml",
        series={},
        rising={'souk_outbox_lost_events_total{stream="souk:events:order"}': (0, 3)},
        labels={"severity": "ticket", "service": "order", "stream": "souk:events:order"},
        flaps=True,
    ),
    Case(
        alert="DeadLetters",
        rules="notification/rules/events.yaml",
        series={"souk_dead_letters": (0, 1)},
        labels={"severity": "ticket", "service": "notification"},
    ),
    Case(
        alert="ConsumerLag",
        rules="notification/rules/events.yaml",
        series={'souk_consumer_lag_seconds{stream="souk:events:order"}': (0, 120)},
        labels={"severity": "page", "service": "notification"},
    ),
    Case(
        alert="DeliveriesPending",
        rules="notification/rules/events.yaml",
        series={"souk_deliveries_pending_seconds": (1, 900)},
        labels={"severity": "ticket", "service": "notification"},
    ),
    Case(
        alert="ProviderSilent",
        rules="payment/rules/payments.yaml",
        series={"souk_payments_unanswered_seconds": (1, 300)},
        labels={"severity": "page", "service": "payment"},
    ),
    Case(
        alert="PaymentDiscrepancies",
        rules="payment/rules/payments.yaml",
        series={'souk_payment_discrepancies{type="AMOUNT_DIFFERS"}': (0, 1)},
        labels={"severity": "ticket", "service": "payment", "type": "AMOUNT_DIFFERS"},
    ),
    Case(
        alert="ReconciliationLate",
        rules="payment/rules/payments.yaml",
        # Time begins at 0 in these tests: what was done two days before is what is late.
        series={"souk_payments_reconciled_timestamp_seconds": (_DAY, -2 * _DAY)},
        labels={"severity": "ticket", "service": "payment"},
    ),
    Case(
        alert="GatewayFails",
        rules="gateway/rules/requests.yaml",
        series={},
        rising={
            'http_server_requests_total{status="200"}': (600, 300),
            'http_server_requests_total{status="503"}': (0, 300),
        },
        labels={"severity": "page", "service": "gateway"},
        flaps=True,
    ),
    Case(
        alert="PodCrashLoops",
        rules="monitoring/rules/processes.yaml",
        series={
            "kube_pod_container_status_waiting_reason{"
            'reason="CrashLoopBackOff", namespace="souk", pod="order-1", container="order"}': (0, 1)
        },
        labels={"severity": "page", "namespace": "souk", "pod": "order-1", "container": "order"},
        flaps=True,
    ),
    Case(
        alert="ProcessDown",
        rules="monitoring/rules/processes.yaml",
        series={'up{namespace="souk", job="order", instance="10.0.0.1:9090"}': (1, 0)},
        labels={
            "severity": "page",
            "namespace": "souk",
            "job": "order",
            "instance": "10.0.0.1:9090",
        },
    ),
    Case(
        alert="MigrationFailed",
        rules="monitoring/rules/processes.yaml",
        series={'kube_job_status_failed{namespace="souk", job_name="order-migration"}': (0, 1)},
        labels={"severity": "page", "namespace": "souk", "job_name": "order-migration"},
        flaps=True,
    ),
    Case(
        alert="CertificateExpires",
        rules="monitoring/rules/processes.yaml",
        series={
            'souk_certificate_expiry_timestamp_seconds{job="order", instance="a", name="order"}': (
                3 * _DAY,
                _DAY // 24,
            )
        },
        labels={"severity": "page", "job": "order", "instance": "a", "name": "order"},
    ),
    Case(
        alert="PoolExhausted",
        rules="monitoring/rules/processes.yaml",
        series={
            'souk_database_waiting{job="order", instance="a", database="order"}': (0, 7),
            'souk_database_connections_max{job="order", instance="a", database="order"}': (10, 10),
            'souk_database_connections{job="order", instance="a", database="order", '
            'state="in_use"}': (1, 10),
        },
        labels={"severity": "page", "job": "order", "instance": "a", "database": "order"},
    ),
    Case(
        alert="CallsShed",
        rules="monitoring/rules/processes.yaml",
        series={},
        rising={
            'souk_calls_shed_total{job="order", grpc_service="souk.order.v1.OrderService"}': (0, 60)
        },
        labels={"severity": "ticket", "job": "order", "grpc_service": "souk.order.v1.OrderService"},
        flaps=True,
    ),
    Case(
        alert="CircuitOpen",
        rules="monitoring/rules/processes.yaml",
        series={'souk_circuit_open{job="order", service="payment"}': (0, 1)},
        labels={"severity": "page", "job": "order", "service": "payment"},
    ),
    Case(
        alert="PostgresDown",
        rules="monitoring/rules/processes.yaml",
        series={'pg_up{instance="postgres"}': (1, 0)},
        labels={"severity": "page", "instance": "postgres"},
    ),
    Case(
        alert="RedisDown",
        rules="monitoring/rules/processes.yaml",
        series={'redis_up{instance="redis"}': (1, 0)},
        labels={"severity": "page", "instance": "redis"},
    ),
    Case(
        alert="RedisMemory",
        rules="monitoring/rules/processes.yaml",
        series={
            'redis_memory_used_bytes{instance="redis"}': (10, 95),
            'redis_memory_max_bytes{instance="redis"}': (100, 100),
        },
        labels={"severity": "ticket", "instance": "redis"},
    ),
    Case(
        alert="MongoDown",
        rules="monitoring/rules/processes.yaml",
        series={'mongodb_up{instance="mongo"}': (1, 0)},
        labels={"severity": "page", "instance": "mongo"},
    ),
)
