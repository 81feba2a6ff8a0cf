#include "demur/simulations/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "demur/learning/metrics.h"
#include "demur/seeded/seeded_random.h"
#include "dice.h"

namespace demur::sim {
namespace {

constexpr std::uint32_t kGroups = 20;
constexpr std::uint32_t kTopK = 10;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// A held-out event with an opinion; group: which fold of the jackknife its person is in.
struct Pooled {
  double score = 0;
  std::uint32_t group = 0;
  bool positive = false;
};

// A ratio of sums over people: what every metric but the pooled AUC is.
struct Ratio {
  double sum = 0;
  double weight = 0;
  void Add(const Ratio& other) {
    sum += other.sum;
    weight += other.weight;
  }
  double value() const { return weight > 0 ? sum / weight : kNone; }
};

struct UserResult {
  std::vector<learning::ScoredLabel> pairs;
  std::array<Ratio, kNumMetrics> parts{};
};

bool IsExplicit(learning::Signal signal) {
  return learning::EvidenceOf(signal) == learning::Evidence::kExplicit;
}

// The value of an accumulator that holds one person; nothing where it has no say.
void AddMean(const Result<double>& value, double weight, Ratio* ratio) {
  if (value) ratio->Add({.sum = *value * weight, .weight = weight});
}

Status AddRanking(std::span<const float> scores, const learning::Split& split,
                  const learning::SignalTable& signals, UserResult* result) {
  std::vector<std::uint32_t> masked;
  std::vector<std::uint32_t> likes;
  std::vector<std::uint32_t> dislikes;
  for (const auto* part : {&split.train, &split.validation}) {
    for (const learning::Event& event : *part) masked.push_back(event.item.value);
  }
  for (const learning::Event& event : split.test) {
    const learning::Label label = signals.rule(event.signal).label;
    if (label == learning::Label::kPositive) likes.push_back(event.item.value);
    if (label == learning::Label::kNegative && IsExplicit(event.signal)) {
      dislikes.push_back(event.item.value);
    }
  }
  if (likes.empty() && dislikes.empty()) return {};
  DEMUR_TRY(const auto ranking, learning::Ranking::Create(scores, masked));
  learning::RankingMetrics one(kTopK);
  DEMUR_RETURN_IF_ERROR(one.AddUser(ranking, likes, dislikes));
  AddMean(one.HitRate(), 1, &result->parts[kHitRate]);
  AddMean(one.Ndcg(), 1, &result->parts[kNdcg]);
  AddMean(one.DislikeShare(), 1, &result->parts[kDislikeShare]);
  AddMean(one.NegativeRecall(), static_cast<double>(dislikes.size()), &result->parts[kNegRecall]);
  return {};
}

Status AddLabels(std::span<const float> scores, const std::vector<learning::Event>& held_out,
                 const learning::SignalTable& signals, UserResult* result) {
  std::vector<learning::ScoredLabel> stated;
  double positives = 0;
  double stated_likes = 0;
  for (const learning::Event& event : held_out) {
    const auto label = learning::LabelValue(signals.rule(event.signal).label);
    if (!label) continue;
    const learning::ScoredLabel pair{.score = static_cast<double>(scores[event.item.value]),
                                     .positive = *label > 0.5F};
    result->pairs.push_back(pair);
    positives += pair.positive ? 1 : 0;
    if (!IsExplicit(event.signal)) continue;
    stated.push_back(pair);
    stated_likes += pair.positive ? 1 : 0;
  }
  learning::GroupedAuc all;
  DEMUR_RETURN_IF_ERROR(all.AddUser(result->pairs));
  AddMean(all.by_impressions(), static_cast<double>(result->pairs.size()),
          &result->parts[kGaucImpr]);
  AddMean(all.by_positives(), positives, &result->parts[kGaucPos]);
  learning::GroupedAuc opinions;
  DEMUR_RETURN_IF_ERROR(opinions.AddUser(stated));
  AddMean(opinions.by_positives(), stated_likes, &result->parts[kSignedGauc]);
  return {};
}

// AUC over all groups but one each, from one sorted pass: [kGroups] is over everybody.
std::vector<double> PooledAucs(std::vector<Pooled>& pairs) {
  std::sort(pairs.begin(), pairs.end(),
            [](const Pooled& a, const Pooled& b) { return a.score < b.score; });
  // below[g]: negatives of group g so far. Twice the won pairs, by the groups that take part.
  std::vector<double> negatives(kGroups, 0);
  std::vector<double> positives(kGroups, 0);
  std::vector<double> tied_negatives(kGroups, 0);
  double all_negatives = 0;
  double all_tied = 0;
  double won = 0;
  std::vector<double> involving(kGroups, 0);  // won pairs with a member of the group
  for (std::size_t i = 0; i < pairs.size();) {
    std::size_t end = i;
    while (end < pairs.size() && pairs[end].score == pairs[i].score) {
      if (!pairs[end].positive) {
        ++tied_negatives[pairs[end].group];
        ++all_tied;
      }
      ++end;
    }
    for (std::size_t j = i; j < end; ++j) {
      if (!pairs[j].positive) continue;
      const std::uint32_t own = pairs[j].group;
      ++positives[own];
      won += all_negatives + all_tied / 2;
      for (std::uint32_t g = 0; g < kGroups; ++g) {
        involving[g] +=
            g == own ? all_negatives + all_tied / 2 : negatives[g] + tied_negatives[g] / 2;
      }
    }
    for (std::uint32_t g = 0; g < kGroups; ++g) {
      negatives[g] += tied_negatives[g];
      tied_negatives[g] = 0;
    }
    all_negatives += all_tied;
    all_tied = 0;
    i = end;
  }
  double all_positives = 0;
  for (const double count : positives) all_positives += count;
  std::vector<double> aucs;
  for (std::uint32_t g = 0; g < kGroups; ++g) {
    const double total = (all_positives - positives[g]) * (all_negatives - negatives[g]);
    aucs.push_back(total > 0 ? (won - involving[g]) / total : kNone);
  }
  const double total = all_positives * all_negatives;
  aucs.push_back(total > 0 ? won / total : kNone);
  return aucs;
}

// Half of the 95 % interval from the estimates without each group (Student t, 19 degrees).
double JackknifeHalfWidth(std::span<const double> without) {
  double mean = 0;
  for (const double value : without) {
    if (!std::isfinite(value)) return kNone;
    mean += value / kGroups;
  }
  double squares = 0;
  for (const double value : without) squares += (value - mean) * (value - mean);
  constexpr double kStudent19 = 2.093;
  return kStudent19 * std::sqrt(squares * (kGroups - 1) / kGroups);
}

Result<Evaluation> Summarise(const std::vector<UserResult>& users, bool probability) {
  Evaluation out;
  std::array<Ratio, kNumMetrics> total{};
  std::vector<std::array<Ratio, kNumMetrics>> by_group(kGroups);
  std::vector<Pooled> pooled;
  for (std::size_t u = 0; u < users.size(); ++u) {
    const auto group = static_cast<std::uint32_t>(u % kGroups);
    auto parts = users[u].parts;
    if (probability && !users[u].pairs.empty()) {
      AddMean(learning::LogLoss(users[u].pairs), static_cast<double>(users[u].pairs.size()),
              &parts[kLogLoss]);
    }
    for (std::size_t m = 0; m < kNumMetrics; ++m) {
      total[m].Add(parts[m]);
      by_group[group][m].Add(parts[m]);
    }
    for (const learning::ScoredLabel& pair : users[u].pairs) {
      pooled.push_back({.score = pair.score, .group = group, .positive = pair.positive});
    }
  }
  const std::vector<double> aucs = PooledAucs(pooled);
  out.scores[kAuc] = aucs[kGroups];
  out.half_width[kAuc] = JackknifeHalfWidth(std::span(aucs).first(kGroups));
  for (std::size_t m = 0; m < kNumMetrics; ++m) {
    if (m == kAuc) continue;
    out.scores[m] = total[m].value();
    std::array<double, kGroups> without{};
    for (std::uint32_t g = 0; g < kGroups; ++g) {
      without[g] = Ratio{.sum = total[m].sum - by_group[g][m].sum,
                         .weight = total[m].weight - by_group[g][m].weight}
                       .value();
    }
    out.half_width[m] = JackknifeHalfWidth(without);
  }
  return out;
}

// Scores people in parallel. work(user, scores, slot) reads the scores of one person.
template <class Work>
Status ForScoredUsers(const Scorer& scorer, const People& people,
                      const std::vector<std::uint32_t>& users, Workers& workers, Work work) {
  std::vector<std::vector<float>> scores(workers.size(), std::vector<float>(people.num_items()));
  std::vector<Status> failed(workers.size());
  workers.ForEach(static_cast<std::uint32_t>(users.size()), 16,
                  [&](std::uint32_t slot, unsigned worker) {
                    if (!failed[worker]) return;
                    Status status = scorer.Score(users[slot], worker, scores[worker]);
                    if (status) status = work(users[slot], scores[worker], slot);
                    if (!status) failed[worker] = std::move(status);
                  });
  for (Status& status : failed) DEMUR_RETURN_IF_ERROR(std::move(status));
  return {};
}

}  // namespace

std::vector<std::uint32_t> SampleUsers(std::uint32_t population, std::uint32_t count,
                                       std::uint64_t seed) {
  std::vector<std::uint32_t> users(population);
  for (std::uint32_t u = 0; u < population; ++u) users[u] = u;
  if (count == 0 || count >= population) return users;
  seeded::SeededRandom random(seed);
  auto stream = random.Stream({.task = 0x73616d706c65, .purpose = Purpose::kData});
  DEMUR_CHECK(stream.has_value(), "a seeded stream cannot fail");
  Dice dice(*std::move(stream));
  for (std::uint32_t i = 0; i < count; ++i) {
    std::swap(users[i], users[i + dice.Below(population - i)]);
  }
  users.resize(count);
  std::sort(users.begin(), users.end());
  return users;
}

Result<Evaluation> Evaluate(const Scorer& scorer, const People& people,
                            const EvaluationOptions& options, Workers& workers) {
  const auto everybody = SampleUsers(people.size(), 0, 0);
  std::vector<bool> ranked(people.size(), false);
  for (const std::uint32_t user :
       SampleUsers(people.size(), options.ranking_users, options.sample_seed)) {
    ranked[user] = true;
  }
  std::vector<UserResult> results(people.size());
  const auto measure = [&](std::uint32_t user, std::span<const float> scores,
                           std::uint32_t slot) -> Status {
    const learning::Split& split = people.person(user).split;
    DEMUR_RETURN_IF_ERROR(AddLabels(scores, split.test, people.signals(), &results[slot]));
    if (!ranked[user]) return {};
    return AddRanking(scores, split, people.signals(), &results[slot]);
  };
  DEMUR_RETURN_IF_ERROR(ForScoredUsers(scorer, people, everybody, workers, measure));
  return Summarise(results, scorer.IsProbability());
}

Result<double> PooledAuc(const Scorer& scorer, const People& people, HeldOut part,
                         std::uint32_t num_users, Workers& workers) {
  const auto users = SampleUsers(people.size(), num_users, 1);
  std::vector<UserResult> results(users.size());
  DEMUR_RETURN_IF_ERROR(ForScoredUsers(
      scorer, people, users, workers,
      [&](std::uint32_t user, std::span<const float> scores, std::uint32_t slot) -> Status {
        const learning::Split& split = people.person(user).split;
        return AddLabels(scores, part == HeldOut::kTest ? split.test : split.validation,
                         people.signals(), &results[slot]);
      }));
  std::vector<learning::ScoredLabel> pairs;
  for (const UserResult& result : results) {
    pairs.insert(pairs.end(), result.pairs.begin(), result.pairs.end());
  }
  auto auc = learning::Auc(pairs);
  if (!auc && auc.error().code() == ErrorCode::kFailedPrecondition) return kNone;
  return auc;
}

}  // namespace demur::sim
