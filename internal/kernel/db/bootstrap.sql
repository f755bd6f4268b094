-- Roles of Vigilo. Run once as a superuser, or by whoever may create roles:
--   vigilo migrate --print-roles | psql -v ON_ERROR_STOP=1 <superuser connection>
-- Afterwards give the three login roles passwords, and the database to vigilo_owner.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'vigilo_owner') THEN
        CREATE ROLE vigilo_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'vigilo_audit') THEN
        CREATE ROLE vigilo_audit NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    -- Owns the word search of the audit log and nothing else.
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'vigilo_audit_search') THEN
        CREATE ROLE vigilo_audit_search NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'vigilo_app') THEN
        CREATE ROLE vigilo_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'vigilo_system') THEN
        CREATE ROLE vigilo_system LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
END $$;
GRANT vigilo_audit, vigilo_audit_search TO vigilo_owner;
