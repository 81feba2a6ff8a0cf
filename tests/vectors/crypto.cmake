if(DEMUR_VECTORS)
  demur_add_test(NAME wycheproof LABEL vectors SOURCES wycheproof_test.cc PARTS privacy/crypto
    DEFINES DEMUR_WYCHEPROOF="${DEMUR_VECTORS}/C2SP__wycheproof/testvectors_v1")
endif()
