drop table cito.revoked_token;
