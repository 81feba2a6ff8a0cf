#include "demur/base/log.h"

void Log(demur::ItemId item, demur::DeviceNumber device) {
  demur::log::Info("event", {{"device", device}});
#ifdef DEMUR_BROKEN
  demur::log::Info("event", {{"item", item}});
#else
  (void)item;
#endif
}
