drop table cito.relay;
