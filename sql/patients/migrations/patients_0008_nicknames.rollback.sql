truncate public.nickname;
