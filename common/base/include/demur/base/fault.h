#pragma once

#include <functional>
#include <string_view>

#include "demur/base/result.h"

// Named points at which a crash test stops the program. Durable code calls FaultPoint("name") just
// before and just after what a crash may cut in two; without a handler the call is one relaxed
// load. Points are always compiled in, so that what is tested is what ships. Thread-safe.
namespace demur {

using FaultHandler = std::function<void(std::string_view name)>;

// Calls the installed handler, if there is one, on the calling thread. `name` has the form
// "part.what", for example "coordinator.after_reserve".
void FaultPoint(std::string_view name);

// Installs `handler`, or none when it is empty. A handler may end the process or throw; it must not
// call SetFaultHandler.
void SetFaultHandler(FaultHandler handler);

// Reads DEMUR_CRASH_AT = name[:count] (count >= 1, default 1) and, where it is set, installs a
// handler that kills the process with SIGKILL the count-th time the point is passed: no destructor,
// no flush, as in a power cut. Called by the main of every program that keeps state across
// crashes (demur-coordinator, demur-client).
// kInvalidArgument: an empty name or a count that is not a positive number.
Status InstallFaultHandlerFromEnvironment();

}  // namespace demur
