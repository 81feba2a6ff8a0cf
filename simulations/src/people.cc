#include "demur/simulations/people.h"

#include <utility>

namespace demur::sim {
namespace {

struct Tally {
  Status status;
  std::uint64_t events = 0;
  std::uint64_t negatives = 0;
};

Result<Person> MakePerson(const std::vector<learning::Event>& events,
                          const learning::SignalTable& signals,
                          const learning::SplitOptions& options, std::uint32_t user,
                          std::uint32_t num_items, RandomSource& random) {
  DEMUR_TRY(learning::Split split, learning::SplitUser(events, options, user, random));
  DEMUR_TRY(learning::TrainView view, learning::TrainView::Create(split.train, signals, num_items));
  return Person{std::move(split), std::move(view)};
}

}  // namespace

Result<People> People::Create(const Dataset& data, const learning::SignalTable& signals,
                              const learning::SplitOptions& split, RandomSource& random,
                              Workers& workers) {
  People people;
  people.signals_ = signals;
  people.num_items_ = data.items;
  people.people_.resize(data.users);
  const auto by_user = EventsByUser(data);
  std::vector<Tally> tallies(workers.size());
  workers.ForEach(data.users, 64, [&](std::uint32_t user, unsigned worker) {
    Tally& tally = tallies[worker];
    if (!tally.status) return;
    auto person = MakePerson(by_user[user], signals, split, user, data.items, random);
    if (!person) {
      tally.status = std::move(person).error().WithContext("user " + std::to_string(user));
      return;
    }
    tally.events += by_user[user].size();
    for (const learning::Event& event : by_user[user]) {
      if (signals.rule(event.signal).label == learning::Label::kNegative) ++tally.negatives;
    }
    people.people_[user] = *std::move(person);
  });
  for (const Tally& tally : tallies) {
    DEMUR_RETURN_IF_ERROR(tally.status);
    people.num_events_ += tally.events;
    people.num_negatives_ += tally.negatives;
  }
  return people;
}

}  // namespace demur::sim
