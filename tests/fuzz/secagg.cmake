demur_fuzz_target(NAME secagg_messages PARTS common/wire)
demur_fuzz_target(NAME secagg_client_step
  PARTS common/wire privacy/crypto privacy/seeded privacy/dp privacy/secagg)
demur_fuzz_target(NAME secagg_server_step
  PARTS common/wire privacy/crypto privacy/seeded privacy/dp privacy/secagg)
demur_fuzz_target(NAME secagg_shares PARTS privacy/crypto privacy/secagg)
