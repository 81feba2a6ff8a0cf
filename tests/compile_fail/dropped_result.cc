#include "demur/base/result.h"

demur::Result<int> Make();
void Drop() {
#ifdef DEMUR_BROKEN
  Make();
#else
  (void)Make();
#endif
}
