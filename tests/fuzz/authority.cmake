demur_fuzz_target(NAME token PARTS common/wire)
demur_fuzz_target(NAME operator_files PARTS privacy/crypto)
demur_fuzz_target(NAME certificate PARTS privacy/crypto LIBS OpenSSL::Crypto)
