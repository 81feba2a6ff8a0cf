#include "demur/base/secret.h"

void Copy(demur::SecretBytes secret) {
  demur::SecretBytes moved = std::move(secret);
#ifdef DEMUR_BROKEN
  demur::SecretBytes copied = moved;
#endif
}
