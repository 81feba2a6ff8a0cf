demur_fuzz_target(NAME frame PARTS common/wire)
demur_fuzz_target(NAME plan PARTS common/wire common/model)
demur_fuzz_target(NAME control PARTS common/wire)
