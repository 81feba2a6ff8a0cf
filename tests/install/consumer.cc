#include <cstdio>
#include <vector>

#include "demur/base/file.h"
#include "demur/client/device.h"
#include "demur/client/event_store.h"
#include "demur/client/key_provider.h"
#include "demur/crypto/system_random.h"

// The smallest application: remembers what its owner liked and rejected, sealed on disk.
// usage: consumer FOLDER
namespace {

demur::Status Remember(const std::string& folder) {
  DEMUR_RETURN_IF_ERROR(demur::MakeFolder(folder));
  demur::crypto::SystemRandom random;
  demur::client::FileKeyProvider keys(folder);
  demur::client::EventStoreOptions options;
  options.folder = folder;
  DEMUR_TRY(auto store, demur::client::EventStore::Open(options, keys, random));
  const std::vector<demur::learning::Event> events = {
      {demur::ItemId(7), demur::learning::Signal::kLike, 1'700'000'000'000, 0},
      {demur::ItemId(9), demur::learning::Signal::kHide, 1'700'000'001'000, 0}};
  DEMUR_RETURN_IF_ERROR(store.AppendEvents(events));
  DEMUR_TRY(const auto kept, store.Events());
  if (kept.size() < events.size()) {
    return demur::Error(demur::ErrorCode::kDataLoss, "the store lost events");
  }
  std::printf("%zu events in %s\n", kept.size(), folder.c_str());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const demur::Status status = Remember(argv[1]);
  if (status) return 0;
  std::fprintf(stderr, "consumer: %s\n", status.error().message().c_str());
  return 1;
}
