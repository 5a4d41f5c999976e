-- Tokens that no longer hold although they have not expired, by their `jti`. Every process reads them twice a second.
create table cito.revoked_token (
    token_id text primary key check (length(token_id) between 1 and 255),
    revoked_at timestamptz not null default clock_timestamp(),
    forget_at timestamptz not null
);
revoke delete on cito.revoked_token from cito_app;
