#pragma once

#include <openssl/bio.h>

namespace demur::net {

// OpenSSL's socket BIO ends in write(2), and a peer that has gone away would raise SIGPIPE and end
// the host application. This one sends with MSG_NOSIGNAL. It borrows `fd`.
// nullptr: out of memory. SSL_set_bio takes ownership.
BIO* NewNoSignalBio(int fd);

}  // namespace demur::net
