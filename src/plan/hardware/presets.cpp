// Vendor data sheets; the efficiencies 0.6 and 0.8 are general assumptions, not fits. Memory efficiency 0.8 is the
// factor that AIConfigurator's system files use for every machine (mem_bw_empirical_scaling_factor).

#include "plan/hardware/preset.h"

namespace callie::plan {
namespace {

std::vector<Hardware> make_presets() {
  return {
      {"a100_sxm", 312, 0, 80, 2039, 300, 5, 32, 60, 400, 1.9, .6, .8, 4, "NVIDIA A100 80GB SXM data sheet"},
      {"a100_pcie", 312, 0, 80, 1935, 32, 10, 32, 50, 300, 1.7, .6, .8, 4, "NVIDIA A100 80GB PCIe data sheet"},
      {"h100_sxm", 989, 1979, 80, 3350, 450, 5, 64, 70, 700, 3.0, .6, .8, 3, "NVIDIA H100 SXM data sheet"},
      {"h100_pcie", 756, 1513, 80, 2000, 64, 10, 64, 60, 350, 2.5, .6, .8, 3, "NVIDIA H100 PCIe data sheet"},
      {"h200_sxm", 989, 1979, 141, 4800, 450, 5, 64, 75, 700, 3.8, .6, .8, 3, "NVIDIA H200 SXM data sheet"},
      {"h20", 148, 296, 96, 4000, 450, 5, 64, 70, 400, 1.8, .6, .8, 3, "NVIDIA H20 product figures"},
      {"b200_sxm", 2250, 4500, 180, 8000, 900, 5, 64, 100, 1000, 5.5, .6, .8, 3, "NVIDIA DGX B200 data sheet, per GPU"},
      {"gb200", 2500, 5000, 186, 8000, 900, 5, 450, 100, 1200, 6.5, .6, .8, 3, "NVIDIA GB200 NVL72 data sheet, per GPU"},
      {"l40s", 362, 733, 48, 864, 32, 10, 32, 35, 350, 1.0, .6, .8, 4, "NVIDIA L40S data sheet"},
      {"l4", 121, 242, 24, 300, 32, 10, 32, 15, 72, 0.6, .6, .8, 4, "NVIDIA L4 data sheet"},
      {"a10g", 70, 0, 24, 600, 32, 10, 32, 20, 300, 0.8, .6, .8, 4, "NVIDIA A10G, AWS G5 page"},
      {"t4", 65, 0, 16, 320, 16, 10, 16, 10, 70, 0.35, .5, .7, 5, "NVIDIA T4 data sheet (fp16)"},
      {"v100_sxm", 125, 0, 32, 900, 150, 5, 16, 40, 300, 1.2, .6, .8, 5, "NVIDIA V100 data sheet (fp16)"},
      {"rtx4090", 165, 330, 24, 1008, 32, 10, 32, 20, 450, 0.5, .7, .9, 4, "NVIDIA Ada whitepaper, fp32 accumulate"},
      {"rtx3090", 71, 0, 24, 936, 32, 10, 32, 25, 350, 0.3, .7, .9, 5, "NVIDIA Ampere GA102 whitepaper"},
      {"rtx5090", 210, 419, 32, 1792, 64, 10, 64, 25, 575, 0.8, .7, .9, 4, "NVIDIA Blackwell RTX whitepaper"},
      {"rtxpro6000", 504, 1008, 96, 1597, 64, 10, 64, 30, 600, 1.9, .6, .8, 4, "NVIDIA RTX PRO 6000 Server data sheet"},
      {"mi250x", 383, 0, 128, 3277, 100, 5, 64, 90, 560, 2.0, .5, .7, 5, "AMD Instinct MI250X data sheet"},
      {"mi300x", 1307, 2615, 192, 5300, 448, 5, 64, 140, 750, 3.4, .5, .7, 4, "AMD Instinct MI300X data sheet"},
      {"gaudi3", 1835, 1835, 128, 3700, 300, 5, 64, 120, 900, 2.6, .5, .7, 5, "Intel Gaudi 3 white paper"},
      {"tpu_v5e", 197, 394, 16, 819, 100, 5, 32, 60, 200, 1.2, .6, .8, 4, "Google Cloud TPU v5e page"},
      {"tpu_v5p", 459, 918, 95, 2765, 300, 5, 32, 100, 450, 4.2, .6, .8, 4, "Google Cloud TPU v5p page"},
      {"m2_ultra", 27, 0, 192, 800, 10, 20, 400, 20, 215, 0.3, .7, .85, 8, "Apple M2 Ultra announcement (fp16 GPU)"},
      {"xeon_8480", 92, 184, 512, 307, 24, 2, 307, 120, 350, 1.5, .5, .8, 10, "Intel Xeon 8480+, AMX 2048 op/cycle/core"},
      {"epyc_9654", 14, 0, 768, 461, 24, 2, 461, 110, 360, 1.8, .6, .8, 10, "AMD EPYC 9654, AVX-512 bf16"},
      {"graviton4", 17, 0, 768, 537, 24, 2, 537, 80, 300, 1.6, .6, .8, 10, "AWS Graviton4, 12 channels DDR5-5600"},
  };
}

const std::vector<Hardware>& presets() {
  static const std::vector<Hardware> kPresets = make_presets();
  return kPresets;
}

}  // namespace

StatusOr<Hardware> find_hardware(std::string_view name) {
  for (const Hardware& hardware : presets()) {
    if (hardware.name == name) return hardware;
  }
  return not_found("hardware preset \"{}\" does not exist", name);
}

std::vector<std::string> hardware_names() {
  std::vector<std::string> names;
  for (const Hardware& hardware : presets()) names.push_back(hardware.name);
  return names;
}

}  // namespace callie::plan
