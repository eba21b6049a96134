-- Derived from the contracts by `souk gen`; do not edit.
-- psql --set ON_ERROR_STOP=1 --set vault_password=… --file databases.sql
\set QUIET on
-- An existing role keeps its password: it is the one that only Vault knows.
SELECT format('CREATE ROLE souk_vault LOGIN NOINHERIT CREATEROLE PASSWORD %L', :'vault_password')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'souk_vault') \gexec
GRANT pg_signal_backend TO souk_vault WITH INHERIT TRUE;

SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM (VALUES ('souk_user_owner'), ('souk_user_app')) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT 'CREATE DATABASE souk_user OWNER souk_user_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'souk_user') \gexec
REVOKE ALL ON DATABASE souk_user FROM PUBLIC;
GRANT CONNECT ON DATABASE souk_user TO souk_user_app;
GRANT souk_user_owner, souk_user_app TO souk_vault WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
\connect souk_user
ALTER SCHEMA public OWNER TO souk_user_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO souk_user_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_user_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO souk_user_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_user_owner
    GRANT USAGE ON SEQUENCES TO souk_user_app;

SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM (VALUES ('souk_order_owner'), ('souk_order_app')) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT 'CREATE DATABASE souk_order OWNER souk_order_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'souk_order') \gexec
REVOKE ALL ON DATABASE souk_order FROM PUBLIC;
GRANT CONNECT ON DATABASE souk_order TO souk_order_app;
GRANT souk_order_owner, souk_order_app TO souk_vault WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
\connect souk_order
ALTER SCHEMA public OWNER TO souk_order_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO souk_order_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_order_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO souk_order_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_order_owner
    GRANT USAGE ON SEQUENCES TO souk_order_app;

SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM (VALUES ('souk_payment_owner'), ('souk_payment_app')) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT 'CREATE DATABASE souk_payment OWNER souk_payment_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'souk_payment') \gexec
REVOKE ALL ON DATABASE souk_payment FROM PUBLIC;
GRANT CONNECT ON DATABASE souk_payment TO souk_payment_app;
GRANT souk_payment_owner, souk_payment_app TO souk_vault WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
\connect souk_payment
ALTER SCHEMA public OWNER TO souk_payment_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO souk_payment_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_payment_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO souk_payment_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_payment_owner
    GRANT USAGE ON SEQUENCES TO souk_payment_app;

SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM (VALUES ('souk_notification_owner'), ('souk_notification_app')) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT 'CREATE DATABASE souk_notification OWNER souk_notification_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'souk_notification') \gexec
REVOKE ALL ON DATABASE souk_notification FROM PUBLIC;
GRANT CONNECT ON DATABASE souk_notification TO souk_notification_app;
GRANT souk_notification_owner, souk_notification_app TO souk_vault WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
\connect souk_notification
ALTER SCHEMA public OWNER TO souk_notification_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO souk_notification_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_notification_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO souk_notification_app;
ALTER DEFAULT PRIVILEGES FOR ROLE souk_notification_owner
    GRANT USAGE ON SEQUENCES TO souk_notification_app;
