#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"

// The coordinator's half of an algorithm (step 6 of a round): the mean change that the privacy
// layer released in, the next shared model out.
namespace demur::learning {

// What a bandit over rows has seen (row_selection.h): one of each an item, or none of either.
struct RowScores {
  std::vector<float> reward;  // sums, discounted; >= 0
  std::vector<float> count;   // rounds, discounted; >= 0

  bool empty() const noexcept { return reward.empty(); }
  friend bool operator==(const RowScores&, const RowScores&) = default;
};

// What the server remembers between rounds: moments per coordinate, the number of updates per row,
// and the scores of rows where a bandit chooses them. Commits with the model, is never sent. Value
// type.
class ServerState {
 public:
  struct Table {
    std::vector<float> first;          // rows * cols: momentum or first moment; empty = unused
    std::vector<float> second;         // rows * cols: second moment or sum of squares; or empty
    std::vector<std::uint32_t> steps;  // rows: updates that the row has seen

    friend bool operator==(const Table&, const Table&) = default;
  };

  // Starts empty; a server step that remembers something sizes it on first use: then one per table
  // of the schema.
  std::vector<Table> tables;
  RowScores rows;

  // Versioned, big-endian, floats as their bit patterns.
  Bytes Serialise() const;
  // kDataLoss: truncated, of an unknown version, of sizes that do not fit `schema`, or with a
  // value that is not finite or a second moment below 0. Lengths are checked before memory is
  // taken.
  static Result<ServerState> Parse(const model::Schema& schema, ByteView bytes);

  friend bool operator==(const ServerState&, const ServerState&) = default;
};

// Made by learning_server::MakeServerStep, which has checked every hyper-parameter. Immutable; may
// be used from several threads on different models.
class ServerStep {
 public:
  virtual ~ServerStep() = default;

  // The model of version 0. Draws from the kInitialisation stream of `stream` (client = kNoClient).
  // kInternal: the random source failed.
  virtual Result<model::SharedModel> InitialModel(RandomSource& random, StreamId stream) const = 0;

  // Applies the mean change. Advances the state per row, and only on rows of the slice whose mean
  // is not zero: a row that nobody touched keeps its moments. Results are held within the plan's
  // value_max, since devices refuse a model beyond it.
  // kInvalidArgument: model, state, mean or layout do not fit the plan's schema, or a mean is not
  // finite; model and state are then unchanged.
  virtual Status Run(model::SharedModel* shared, ServerState* state, const model::MeanUpdate& mean,
                     const model::Layout& layout) const = 0;
};

}  // namespace demur::learning
