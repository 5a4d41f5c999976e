drop function cito.audit_ensure_month(timestamptz);
drop table cito.audit_retention;
drop table cito.audit_event;
