demur_fuzz_target(NAME ledger PARTS privacy/dp)
demur_fuzz_target(NAME device_account PARTS privacy/dp)
