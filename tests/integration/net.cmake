demur_add_test(NAME net LABEL integration
  SOURCES net_frames_test.cc net_listener_test.cc net_tls_test.cc
  PARTS common/base common/wire common/net privacy/crypto
  LIBS OpenSSL::SSL OpenSSL::Crypto)
