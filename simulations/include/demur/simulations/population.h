#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/config.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/simulations/dataset.h"

// The built-in data set: a seeded population of people with tastes and aversions who meet items
// through an exposure policy and react to them, with the truth known. It
// belongs to nobody, so it can be shipped, shown and used in tests. A population is a function of
// (options, seed) alone. Value types; Truth is safe from several threads when const.
namespace demur::sim {

// [data.synthetic]
struct PopulationOptions {
  std::uint32_t users = 2000;
  std::uint32_t items = 300;
  std::uint32_t topics = 8;          // 2 to 64
  double events_per_user = 60;       // mean; people differ (gamma, shape 2), at least 10 each
  double taste = 1.0;                // standard deviation of a person's liking per topic, logits
  double quality = 0.7;              // of item quality, logits
  double generosity = 0.5;           // of a person's general inclination to like, logits
  double base = -0.3;                // logit of interest before all that
  std::uint32_t aversions_max = 3;   // topics a person cannot stand: 1 to this many
  double curiosity = 0.3;            // P(open all the same | averse) = curiosity x interest
  double forgiveness = 0.1;          // P(like all the same | averse) = forgiveness x interest
  double popularity_exponent = 0.7;  // exposure falls with popularity rank^-this
  double policy_affinity = 0.5;      // weight of true affinity in what the policy shows; 0 to 1
  std::uint32_t days = 60;           // events are spread over this many days

  friend bool operator==(const PopulationOptions&, const PopulationOptions&) = default;
};
void ReadPopulation(Config::Table table, PopulationOptions* options);

// What no recommender sees.
class Truth {
 public:
  // P(like | the person sees the item and reacts), in (0, 1). Indices in range (checked).
  double LikeProbability(std::uint32_t user, std::uint32_t item) const;
  // The item's main topic is one that the person cannot stand.
  bool Averse(std::uint32_t user, std::uint32_t item) const;

  std::uint32_t main_topic(std::uint32_t item) const { return items_[item].main_topic; }

 private:
  friend class PopulationBuilder;
  struct Item {
    std::uint32_t main_topic = 0;
    std::uint32_t second_topic = 0;
    float second_share = 0;  // of 1; the main topic has the rest
    float quality = 0;
  };
  struct User {
    float generosity = 0;
    std::uint64_t aversions = 0;  // bit per topic
  };
  double Interest(std::uint32_t user, std::uint32_t item) const;

  PopulationOptions options_;
  std::vector<Item> items_;
  std::vector<User> users_;
  std::vector<float> taste_;  // users x topics
};

struct Population {
  Dataset data;
  Truth truth;
};

// Draws a population from `random` (purpose kData, one stream for the items and one per person).
// kInvalidArgument: options out of range (also more events than items allow). kInternal: the
// generator failed.
Result<Population> MakePopulation(const PopulationOptions& options, RandomSource& random);

}  // namespace demur::sim
