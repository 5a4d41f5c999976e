drop table public.prescription_overrides;
drop table public.prescription_requests;
