#include "demur/base/log.h"

void Log(const std::vector<float>& gradient) {
  demur::log::Info("event", {{"size", gradient.size()}});
#ifdef DEMUR_BROKEN
  demur::log::Info("event", {demur::log::Field("gradient", gradient)});
#endif
}
