#include "local.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "demur/learning/initialise.h"
#include "hyper.h"
#include "sgd.h"

namespace demur::biased_mf {
namespace {

using learning::TrainView;

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

// Memory of one thread, kept from person to person: after the largest one nothing allocates.
struct Workspace {
  std::vector<std::uint32_t> stamp;  // per item: the run that touched it last
  std::vector<std::uint32_t> index;  // per item: its scratch row, if stamped now
  std::uint32_t run = 0;
  std::vector<std::uint32_t> touched;  // item of each scratch row
  std::vector<Sample> samples;
  std::vector<float> user;
  float user_bias = 0;
  std::vector<float> items;
  std::vector<float> item_biases;

  void Start(std::uint32_t num_items) {
    if (stamp.size() < num_items) {
      stamp.resize(num_items, 0);
      index.resize(num_items, 0);
    }
    if (++run == 0) {  // wrapped: old stamps could look new
      std::fill(stamp.begin(), stamp.end(), 0U);
      run = 1;
    }
    touched.clear();
    samples.clear();
  }

  std::uint32_t RowOf(std::uint32_t item) {
    if (stamp[item] != run) {
      stamp[item] = run;
      index[item] = static_cast<std::uint32_t>(touched.size());
      touched.push_back(item);
    }
    return index[item];
  }
};

Workspace& ThreadWorkspace() {
  thread_local Workspace workspace;
  return workspace;
}

class Local final : public learning::LocalStep {
 public:
  Local(const model::TrainingPlan& plan, const std::vector<double>& hyper)
      : num_items_(plan.schema.tables[0].rows),
        factors_(plan.schema.tables[0].cols - 1),
        blocks_((factors_ + kLanes - 1) / kLanes),
        epochs_(static_cast<int>(hyper[kEpochs])),
        private_epochs_(static_cast<int>(hyper[kPrivateEpochs])),
        personalise_epochs_(static_cast<int>(hyper[kPersonaliseEpochs])),
        negatives_per_positive_(hyper[kNegativesPerPositive]),
        unobserved_weight_(static_cast<float>(hyper[kUnobservedWeight])),
        initial_scale_(static_cast<float>(hyper[kInitialScale])) {
    sgd_.prior_logit = static_cast<float>(hyper[kPriorLogit]);
    sgd_.private_rate = static_cast<float>(hyper[kPrivateRate]);
    sgd_.shared_rate = static_cast<float>(hyper[kSharedRate]);
    sgd_.l2_user = static_cast<float>(hyper[kL2User]);
    sgd_.l2_item = static_cast<float>(hyper[kL2Item]);
    sgd_.l2_user_bias = static_cast<float>(hyper[kL2UserBias]);
    sgd_.l2_item_bias = static_cast<float>(hyper[kL2ItemBias]);
  }

  Result<model::PrivateState> Run(const model::SharedModel& shared,
                                  const model::PrivateState& state, const TrainView& view,
                                  const learning::LocalContext& context,
                                  model::Update* out) const override {
    out->Clear();
    if (view.examples().empty()) {
      return Error(ErrorCode::kFailedPrecondition, "biased_mf: no labelled events to train on");
    }
    Workspace& work = ThreadWorkspace();
    DEMUR_RETURN_IF_ERROR(Prepare(shared, state, view, context, &work));
    const Scratch scratch = {work.user.data(), &work.user_bias, work.items.data(),
                             work.item_biases.data()};
    for (int epoch = 0; epoch < private_epochs_; ++epoch) {
      RunEpoch<false>(sgd_, work.samples, blocks_, scratch);
    }
    for (int epoch = 0; epoch < epochs_; ++epoch) {
      RunEpoch<true>(sgd_, work.samples, blocks_, scratch);
    }
    DEMUR_RETURN_IF_ERROR(WriteUpdate(shared, context.layout, work, out));
    return ReadPrivate(work);
  }

  Result<model::PrivateState> Personalise(const model::SharedModel& shared,
                                          const model::PrivateState& state, const TrainView& view,
                                          const learning::LocalContext& context) const override {
    if (view.examples().empty()) return state;
    Workspace& work = ThreadWorkspace();
    DEMUR_RETURN_IF_ERROR(Prepare(shared, state, view, context, &work));
    const Scratch scratch = {work.user.data(), &work.user_bias, work.items.data(),
                             work.item_biases.data()};
    for (int epoch = 0; epoch < personalise_epochs_; ++epoch) {
      RunEpoch<false>(sgd_, work.samples, blocks_, scratch);
    }
    return ReadPrivate(work);
  }

  Status Score(const model::SharedModel& shared, const model::PrivateState& state,
               std::span<float> scores) const override {
    DEMUR_RETURN_IF_ERROR(CheckModel(shared));
    DEMUR_RETURN_IF_ERROR(CheckState(state));
    if (scores.size() != num_items_) return Bad("biased_mf: one score per item of the catalogue");
    const bool personal = !state.values.empty();
    for (std::uint32_t item = 0; item < num_items_; ++item) {
      const auto row = shared.Row(0, item);
      float logit = sgd_.prior_logit + row[factors_];
      if (personal) {
        logit += state.values[factors_];
        for (std::size_t k = 0; k < factors_; ++k) logit += state.values[k] * row[k];
      }
      scores[item] = logit;
    }
    return {};
  }

 private:
  Status CheckModel(const model::SharedModel& shared) const {
    const auto& tables = shared.schema().tables;
    if (tables.size() != 1 || tables[0].rows != num_items_ || tables[0].cols != factors_ + 1) {
      return Bad("biased_mf: the model has another schema than the plan");
    }
    return {};
  }

  Status CheckState(const model::PrivateState& state) const {
    if (!state.values.empty() && state.values.size() != factors_ + 1) {
      return Bad("biased_mf: the private state has another size than the plan");
    }
    return {};
  }

  // Fills the workspace: samples in random order, copies of the rows they touch, private part.
  Status Prepare(const model::SharedModel& shared, const model::PrivateState& state,
                 const TrainView& view, const learning::LocalContext& context,
                 Workspace* work) const {
    DEMUR_RETURN_IF_ERROR(CheckModel(shared));
    DEMUR_RETURN_IF_ERROR(CheckState(state));
    if (view.num_items() != num_items_) return Bad("biased_mf: another catalogue than the plan");
    work->Start(num_items_);
    for (const learning::Example& example : view.examples()) {
      work->samples.push_back({work->RowOf(example.item), example.label, example.weight});
    }
    DEMUR_RETURN_IF_ERROR(SampleAndShuffle(view, context, work));
    CopyRows(shared, work);
    return LoadPrivate(state, context, work);
  }

  Status SampleAndShuffle(const TrainView& view, const learning::LocalContext& context,
                          Workspace* work) const {
    StreamId id = context.stream;
    id.purpose = Purpose::kSampling;
    DEMUR_TRY(const auto stream, context.random.Stream(id));
    learning::WordReader words(*stream);
    const learning::UnobservedSampler sampler(view);
    if (unobserved_weight_ > 0 && !sampler.empty()) {
      const auto negatives = std::llround(negatives_per_positive_ * view.num_positives());
      for (long long i = 0; i < negatives; ++i) {
        work->samples.push_back({work->RowOf(sampler.Draw(words)), 0.0F, unobserved_weight_});
      }
    }
    auto& samples = work->samples;
    for (std::size_t i = samples.size(); i > 1; --i) {
      std::swap(samples[i - 1], samples[words.Below(static_cast<std::uint32_t>(i))]);
    }
    return words.status();
  }

  void CopyRows(const model::SharedModel& shared, Workspace* work) const {
    const std::size_t stride = blocks_ * kLanes;
    const std::size_t rows = work->touched.size();
    if (work->items.size() < rows * stride) work->items.resize(rows * stride);
    if (work->item_biases.size() < rows) work->item_biases.resize(rows);
    const float* const values = shared.values(0).data();
    for (std::size_t i = 0; i < rows; ++i) {
      const float* const row = values + std::size_t{work->touched[i]} * (factors_ + 1);
      float* const to = work->items.data() + i * stride;
      std::copy(row, row + factors_, to);
      std::fill(to + factors_, to + stride, 0.0F);
      work->item_biases[i] = row[factors_];
    }
  }

  Status LoadPrivate(const model::PrivateState& state, const learning::LocalContext& context,
                     Workspace* work) const {
    work->user.assign(blocks_ * kLanes, 0.0F);
    work->user_bias = 0;
    if (!state.values.empty()) {
      std::copy(state.values.begin(), state.values.end() - 1, work->user.begin());
      work->user_bias = state.values.back();
      return {};
    }
    // First participation: the same vector whichever round and attempt it falls into.
    StreamId id = context.stream;
    id.round = 0;
    id.attempt = 0;
    id.purpose = Purpose::kInitialisation;
    DEMUR_TRY(const auto stream, context.random.Stream(id));
    return learning::FillGaussianLike(*stream, initial_scale_,
                                      std::span(work->user).first(factors_));
  }

  // Parameter difference on the touched rows of the slice.
  Status WriteUpdate(const model::SharedModel& shared, const model::Layout& layout,
                     const Workspace& work, model::Update* out) const {
    const std::size_t stride = blocks_ * kLanes;
    const float* const values = shared.values(0).data();
    float probe = 0;  // 0 * x is NaN exactly where x is not finite
    for (std::size_t i = 0; i < work.touched.size(); ++i) {
      const std::uint32_t item = work.touched[i];
      if (layout.Offset(0, item) == model::Layout::kNotInSlice) continue;
      const float* const before = values + std::size_t{item} * (factors_ + 1);
      const float* const after = work.items.data() + i * stride;
      const std::span<float> change =
          out->AddRow(0, item, static_cast<std::uint32_t>(factors_ + 1));
      for (std::size_t k = 0; k < factors_; ++k) {
        change[k] = after[k] - before[k];
        probe += 0.0F * change[k];
      }
      change[factors_] = work.item_biases[i] - before[factors_];
      probe += 0.0F * change[factors_];
    }
    if (probe != 0) return Error(ErrorCode::kAborted, "biased_mf: training left the finite range");
    return {};
  }

  Result<model::PrivateState> ReadPrivate(const Workspace& work) const {
    model::PrivateState next;
    next.values.resize(factors_ + 1);
    std::copy_n(work.user.begin(), factors_, next.values.begin());
    next.values[factors_] = work.user_bias;
    for (const float value : next.values) {
      if (!std::isfinite(value)) {
        return Error(ErrorCode::kAborted, "biased_mf: training left the finite range");
      }
    }
    return next;
  }

  std::uint32_t num_items_;
  std::size_t factors_;
  std::size_t blocks_;
  int epochs_;
  int private_epochs_;
  int personalise_epochs_;
  double negatives_per_positive_;
  float unobserved_weight_;
  float initial_scale_;
  SgdOptions sgd_;
};

}  // namespace

Result<std::unique_ptr<learning::LocalStep>> MakeLocal(const model::TrainingPlan& plan) {
  DEMUR_TRY(const auto hyper, learning::ReadHyper(plan, kHyper));
  const auto& tables = plan.schema.tables;
  if (tables.size() != 1 || tables[0].name != kTable || tables[0].rows < 1 || tables[0].cols < 2 ||
      tables[0].cols > kMaxFactors + 1) {
    return Bad("biased_mf needs one table `item` of 2 to 257 columns");
  }
  return std::unique_ptr<learning::LocalStep>(std::make_unique<Local>(plan, hyper));
}

}  // namespace demur::biased_mf
