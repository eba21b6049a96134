# Derived from the contracts by `souk gen`; do not edit.

path "secret/data/souk/gateway" {
  capabilities = ["read"]
}

path "pki/issue/souk-gateway" {
  capabilities = ["update"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}

path "sys/leases/renew" {
  capabilities = ["update"]
}
