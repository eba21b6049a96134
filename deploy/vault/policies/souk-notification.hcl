# Derived from the contracts by `souk gen`; do not edit.

path "souk/data/notification/redis" {
  capabilities = ["read"]
}

path "souk/data/notification/smtp" {
  capabilities = ["read"]
}

path "souk/data/notification/sms" {
  capabilities = ["read"]
}

path "database/creds/souk-notification-run" {
  capabilities = ["read"]
}

path "pki/issue/souk-notification" {
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
