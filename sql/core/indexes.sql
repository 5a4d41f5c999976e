-- The audit's table has a partition for each month: its indexes stand on the parent, so that a new month has them.

-- name: audit_event_recent
create index concurrently audit_event_recent on cito.audit_event (occurred_at desc);

-- name: audit_event_patient
create index concurrently audit_event_patient on cito.audit_event (patient_id, occurred_at desc)
where patient_id is not null;

-- name: audit_event_actor
create index concurrently audit_event_actor on cito.audit_event (actor, occurred_at desc);

-- name: audit_event_request
create index concurrently audit_event_request on cito.audit_event (request_id) where request_id <> '';
