if(DEMUR_VECTORS)
  demur_add_test(NAME dp LABEL vectors SOURCES dp_vectors_test.cc PARTS privacy/dp privacy/seeded
    DEFINES DEMUR_DP_VECTORS="${DEMUR_VECTORS}/dp")
endif()
