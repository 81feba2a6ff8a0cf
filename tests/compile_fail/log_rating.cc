#include "demur/base/log.h"

void Log(float rating, std::uint32_t rows) {
  demur::log::Info("event", {{"rows", rows}});
#ifdef DEMUR_BROKEN
  demur::log::Info("event", {{"rating", rating}});
#else
  (void)rating;
#endif
}
