drop table public.staff;
drop table public.clinic;
