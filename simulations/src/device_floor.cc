#include "device_floor.h"

namespace demur::sim {

client::Floor FloorFor(const model::Plan& plan) {
  client::Floor floor;
  dp::DeviceFloor& privacy = floor.privacy;
  privacy.allow_no_noise = !plan.privacy.noise;
  if (plan.privacy.noise) {
    privacy.epsilon_round_max = plan.privacy.epsilon;
    privacy.epsilon_task_max = plan.privacy.epsilon;
    privacy.epsilon_total_max = plan.privacy.epsilon;
    privacy.delta_max = plan.privacy.delta;
  }
  privacy.participations_max = plan.privacy.participations_max;
  privacy.roster_min = plan.secagg.roster_min;
  privacy.survivors_min = plan.secagg.SurvivorsMin(plan.secagg.roster_min);
  privacy.corrupt_permille_min = plan.secagg.corrupt_permille;
  floor.noise_corrupt_permille_min = plan.secagg.corrupt_permille;
  privacy.dropout_permille_max = plan.secagg.dropout_permille;
  floor.sigma_min = plan.secagg.sigma;
  floor.eta_min = plan.secagg.eta;
  floor.allow_semi_honest = plan.secagg.profile == model::SecAggProfile::kSemiHonest;
  floor.value_max = plan.training.value_max;
  return floor;
}

}  // namespace demur::sim
