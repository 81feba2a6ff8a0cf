demur_fuzz_target(NAME config PARTS common/base)
demur_fuzz_target(NAME json PARTS common/base)
