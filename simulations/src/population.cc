#include "demur/simulations/population.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "demur/base/check.h"
#include "dice.h"

namespace demur::sim {
namespace {

constexpr std::uint32_t kEventsMin = 10;
constexpr std::uint32_t kPageLen = 10;
constexpr double kAttentionDecay = 0.12;  // P(seen at position p of a page) = 1 / (1 + 0.12 p)
constexpr std::int64_t kFirstDayUnixMs = 1'704'067'200'000;  // 2024-01-01
constexpr std::int64_t kDayMs = 86'400'000;
// What an averse person does apart from opening the item or liking it all the same.
constexpr double kAverseDislike = 0.15;
constexpr double kAverseHide = 0.05;
constexpr double kAverseSkip = 0.60;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Status Check(const PopulationOptions& o) {
  const auto bad = [](std::string_view what) {
    return Error(ErrorCode::kInvalidArgument, "data.synthetic." + std::string(what));
  };
  if (o.users < 2 || o.users > 50'000'000) return bad("users: 2 to 50,000,000");
  if (o.items < 20 || o.items > 5'000'000) return bad("items: 20 to 5,000,000");
  if (o.topics < 2 || o.topics > 64) return bad("topics: 2 to 64");
  if (!(o.events_per_user >= kEventsMin && o.events_per_user <= 0.6 * o.items)) {
    return bad("events_per_user: 10 to 0.6 items");
  }
  if (o.aversions_max < 1 || o.aversions_max >= o.topics) {
    return bad("aversions_max: 1 to topics - 1");
  }
  if (!(o.curiosity >= 0 && o.forgiveness > 0 && o.curiosity + o.forgiveness <= 0.5)) {
    return bad("curiosity and forgiveness: positive, together at most 0.5");
  }
  if (!(o.policy_affinity >= 0 && o.policy_affinity <= 1)) return bad("policy_affinity: 0 to 1");
  return {};
}

StreamId DataStream(std::uint64_t client) {
  // A task of its own: splits draw from task 0.
  return {.task = 0x706f70756c617465,
          .round = 0,
          .attempt = 0,
          .client = client,
          .purpose = Purpose::kData};
}

}  // namespace

void ReadPopulation(Config::Table table, PopulationOptions* o) {
  table.Read("users", &o->users, 2, 50'000'000)
      .Read("items", &o->items, 20, 5'000'000)
      .Read("topics", &o->topics, 2, 64)
      .Read("events_per_user", &o->events_per_user, kEventsMin, 100'000)
      .Read("taste", &o->taste, 0, 10)
      .Read("quality", &o->quality, 0, 10)
      .Read("generosity", &o->generosity, 0, 10)
      .Read("base", &o->base, -10, 10)
      .Read("aversions_max", &o->aversions_max, 1, 63)
      .Read("curiosity", &o->curiosity, 0, 0.5)
      .Read("forgiveness", &o->forgiveness, 0.001, 0.5)
      .Read("popularity_exponent", &o->popularity_exponent, 0, 3)
      .Read("policy_affinity", &o->policy_affinity, 0, 1)
      .Read("days", &o->days, 1, 3650);
}

double Truth::Interest(std::uint32_t user, std::uint32_t item) const {
  const Item& it = items_[item];
  const float* taste = taste_.data() + std::size_t{user} * options_.topics;
  const double affinity = (1 - it.second_share) * taste[it.main_topic] +
                          static_cast<double>(it.second_share) * taste[it.second_topic];
  return Sigmoid(options_.base + users_[user].generosity + it.quality + affinity);
}

bool Truth::Averse(std::uint32_t user, std::uint32_t item) const {
  DEMUR_CHECK(user < users_.size() && item < items_.size(), "Truth: index out of range");
  return (users_[user].aversions >> items_[item].main_topic & 1U) != 0;
}

double Truth::LikeProbability(std::uint32_t user, std::uint32_t item) const {
  const bool averse = Averse(user, item);
  const double interest = Interest(user, item);
  if (!averse) return interest;
  const double like = options_.forgiveness * interest;
  const double settled = like + options_.curiosity * interest + kAverseDislike + kAverseHide;
  const double react = settled + kAverseSkip * (1 - settled);
  return like / react;
}

// Draws one population. One object per population.
class PopulationBuilder {
 public:
  PopulationBuilder(const PopulationOptions& options, RandomSource& random)
      : options_(options), random_(random) {
    population_.truth.options_ = options;
  }

  Result<Population> Build() {
    DEMUR_RETURN_IF_ERROR(DrawItems());
    Truth& truth = population_.truth;
    truth.users_.resize(options_.users);
    truth.taste_.resize(std::size_t{options_.users} * options_.topics);
    population_.data.interactions.reserve(
        static_cast<std::size_t>(options_.users * options_.events_per_user * 1.05));
    for (std::uint32_t user = 0; user < options_.users; ++user) {
      DEMUR_TRY(auto stream, random_.Stream(DataStream(user)));
      Dice dice(std::move(stream));
      DrawUser(user, dice);
      DrawEvents(user, dice);
      DEMUR_RETURN_IF_ERROR(dice.status());
    }
    population_.data.name = "synthetic";
    population_.data.users = options_.users;
    population_.data.items = options_.items;
    return std::move(population_);
  }

 private:
  Status DrawItems() {
    DEMUR_TRY(auto stream, random_.Stream(DataStream(kNoClient)));
    Dice dice(std::move(stream));
    population_.truth.items_.resize(options_.items);
    for (Truth::Item& item : population_.truth.items_) {
      item.main_topic = dice.Below(options_.topics);
      item.second_topic = (item.main_topic + 1 + dice.Below(options_.topics - 1)) % options_.topics;
      item.second_share = static_cast<float>(0.45 * dice.Unit());
      item.quality = static_cast<float>(options_.quality * dice.Normal());
    }
    // Better items tend to be better known: rank by quality plus luck.
    std::vector<std::pair<double, std::uint32_t>> fame(options_.items);
    for (std::uint32_t i = 0; i < options_.items; ++i) {
      fame[i] = {-(0.7 * population_.truth.items_[i].quality + options_.quality * dice.Normal()),
                 i};
    }
    std::sort(fame.begin(), fame.end());
    std::vector<double> share(options_.items);
    for (std::uint32_t rank = 0; rank < options_.items; ++rank) {
      share[fame[rank].second] = std::pow(rank + 1.0, -options_.popularity_exponent);
    }
    exposure_.resize(options_.items);
    double total = 0;
    for (std::uint32_t i = 0; i < options_.items; ++i) exposure_[i] = total += share[i];
    seen_by_.assign(options_.items, std::numeric_limits<std::uint32_t>::max());
    return dice.status();
  }

  void DrawUser(std::uint32_t user, Dice& dice) {
    Truth::User& person = population_.truth.users_[user];
    person.generosity = static_cast<float>(options_.generosity * dice.Normal());
    for (std::uint32_t t = 0; t < options_.topics; ++t) {
      population_.truth.taste_[std::size_t{user} * options_.topics + t] =
          static_cast<float>(options_.taste * dice.Normal());
    }
    const auto count = static_cast<int>(1 + dice.Below(options_.aversions_max));
    while (std::popcount(person.aversions) < count) {
      person.aversions |= std::uint64_t{1} << dice.Below(options_.topics);
    }
  }

  // Pages of ten, filled by popularity and affinity; lower positions are overlooked more often.
  // What was not seen leaves no event.
  void DrawEvents(std::uint32_t user, Dice& dice) {
    const double gamma = -std::log((1 - dice.Unit()) * (1 - dice.Unit())) / 2;
    const double most = 0.7 * options_.items;
    const auto wanted = static_cast<std::uint32_t>(
        std::clamp<double>(gamma * options_.events_per_user, kEventsMin, most));
    times_.resize(wanted);
    for (std::int64_t& time : times_) {
      time = kFirstDayUnixMs + static_cast<std::int64_t>(dice.Unit() * options_.days * kDayMs);
    }
    std::sort(times_.begin(), times_.end());
    std::uint32_t position = 0;
    for (std::uint32_t n = 0; n < wanted && dice.status();) {
      const std::uint32_t item = DrawExposure(user, dice);
      const bool seen = dice.Unit() < 1 / (1 + kAttentionDecay * position);
      position = (position + 1) % kPageLen;
      if (!seen) continue;
      seen_by_[item] = user;
      // Somebody who is averse may also pass without any trace.
      if (const auto signal = React(user, item, dice)) {
        population_.data.interactions.push_back(
            {.user = user,
             .event = {.item = ItemId(item), .signal = *signal, .unix_ms = times_[n], .order = n}});
      }
      ++n;
    }
  }

  std::uint32_t DrawExposure(std::uint32_t user, Dice& dice) {
    for (;;) {
      const double point = dice.Unit() * exposure_.back();
      const auto at = std::upper_bound(exposure_.begin(), exposure_.end(), point);
      const auto item = static_cast<std::uint32_t>(
          std::min<std::ptrdiff_t>(at - exposure_.begin(), options_.items - 1));
      if (!dice.status()) return item;
      if (seen_by_[item] == user) continue;
      const double liking = population_.truth.LikeProbability(user, item);
      if (dice.Unit() < 1 - options_.policy_affinity * (1 - liking)) return item;
    }
  }

  std::optional<learning::Signal> React(std::uint32_t user, std::uint32_t item, Dice& dice) {
    using learning::Signal;
    const Truth& truth = population_.truth;
    const double interest = truth.Interest(user, item);
    const double what = dice.Unit();
    const double how = dice.Unit();
    const bool averse = truth.Averse(user, item);
    if (what < (averse ? options_.forgiveness : 1.0) * interest) {
      if (how < 0.40) return Signal::kLike;
      if (how < 0.75) return Signal::kLongView;
      return how < 0.92 ? Signal::kClick : Signal::kPurchase;
    }
    if (!averse) {
      if (how < 0.66) return Signal::kSkip;
      if (how < 0.86) return Signal::kShortView;
      if (how < 0.90) return Signal::kClickWithoutPurchase;
      return how < 0.95 ? Signal::kHide : Signal::kDislike;
    }
    const double open = (options_.forgiveness + options_.curiosity) * interest;
    if (what < open) return Signal::kShortView;
    if (what < open + kAverseDislike) return Signal::kDislike;
    if (what < open + kAverseDislike + kAverseHide) return Signal::kHide;
    if (how < kAverseSkip) return Signal::kSkip;
    return std::nullopt;
  }

  const PopulationOptions& options_;
  RandomSource& random_;
  Population population_;
  std::vector<double> exposure_;        // running sums of popularity
  std::vector<std::uint32_t> seen_by_;  // last person who saw the item
  std::vector<std::int64_t> times_;
};

Result<Population> MakePopulation(const PopulationOptions& options, RandomSource& random) {
  DEMUR_RETURN_IF_ERROR(Check(options));
  return PopulationBuilder(options, random).Build();
}

}  // namespace demur::sim
