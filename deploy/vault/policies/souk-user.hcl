# Derived from the contracts by `souk gen`; do not edit.

path "secret/data/souk/user" {
  capabilities = ["read"]
}

path "secret/data/souk/user/signing-keys" {
  capabilities = ["read"]
}

path "database/creds/souk-user" {
  capabilities = ["read"]
}

path "pki/issue/souk-user" {
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
